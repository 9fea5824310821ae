import { Command } from 'commander';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { readValue } from './read-value.ts';
import { CliError, type CommandResult } from './result.ts';
import {
  type CommandContext,
  type CommonOptions,
  runCommand,
  withServerOptions,
} from './run-command.ts';
import { table } from './table.ts';
import { timeText } from './time-text.ts';

type SetOptions = CommonOptions & { readonly secret?: boolean; readonly description?: string };

export function variablesCommand(): Command {
  const variables = new Command('variables').description(
    'What templates see as vars: list, set and unset.',
  );
  variables.addCommand(
    withServerOptions(
      new Command('list').description('List the variables of the account; secrets are masked.'),
    ).action((options) => runCommand(options, list)),
  );
  variables.addCommand(
    withServerOptions(
      new Command('set')
        .description('Set a variable, of all environments or, with --environment, of one.')
        .argument('<key>', 'name in templates: vars.<key>')
        .argument('[value]', 'absent: read from stdin, or asked for')
        .option('--secret', 'seal it, and show it nowhere; its value is never an argument')
        .option('--description <text>', 'what it is for'),
      'any',
    ).action((key: string, value: string | undefined, options: SetOptions) =>
      runCommand(options, (ctx) => set(ctx, key, value, options)),
    ),
  );
  variables.addCommand(
    withServerOptions(
      new Command('unset')
        .description('Remove a variable or, with --environment, its value of one environment.')
        .argument('<key>', 'name of the variable'),
      'any',
    ).action((key: string, options: CommonOptions) =>
      runCommand(options, (ctx) => unset(ctx, key, options.environment)),
    ),
  );
  return variables;
}

export function brandingCommand(): Command {
  const command = new Command('branding')
    .description('Show the branding of the account, or change fields of it.')
    .argument('[fields...]', 'such as primary_color=#4f46e5; an empty value removes a field');
  return withServerOptions(command).action((fields: string[], options) =>
    runCommand(options, (ctx) => branding(ctx, fields)),
  );
}

async function list(ctx: CommandContext): Promise<CommandResult> {
  const answer = await ctx.client.request({
    role: 'service',
    method: 'GET',
    path: '/control/v1/variables',
  });
  const entries = Array.isArray(answer.entries) ? answer.entries.filter(isJsonObject) : [];
  return {
    json: answer,
    text: (style) =>
      table(style, ['VARIABLE', 'TYPE', 'ENVIRONMENT', 'VALUE', 'CHANGED'], entries.flatMap(rows)),
  };
}

/** A row for each value. */
function rows(variable: JsonObject): string[][] {
  const { value, environment_values: own } = variable;
  const values: [string, unknown][] = [
    ...(value === null ? [] : [['all', value] as [string, unknown]]),
    ...Object.entries(isJsonObject(own) ? own : {}),
  ];
  return values.map(([environment, text]) => [
    String(variable.key),
    String(variable.type),
    environment,
    String(text),
    timeText(String(variable.updated_at)),
  ]);
}

async function set(
  ctx: CommandContext,
  key: string,
  given: string | undefined,
  { secret, description, environment }: SetOptions,
): Promise<CommandResult> {
  if (secret && given !== undefined) {
    throw new CliError(
      'usage',
      'A secret is no argument, which others on this machine can read; give it on stdin, or type it when asked.',
    );
  }
  const value = given ?? (await readValue(`Value of ${key}`));
  const variable = await ctx.client.request({
    role: 'service',
    method: 'PUT',
    path: `/control/v1/variables/${encodeURIComponent(key)}`,
    query: { environment },
    body: {
      value,
      ...(secret ? { type: 'secret' } : {}),
      ...(description === undefined ? {} : { description }),
    },
  });
  const where = environment === undefined ? '' : ` of ${environment}`;
  return {
    json: variable,
    text: () => `vars.${key}${where} is set; runs see it within two seconds.`,
  };
}

async function unset(
  ctx: CommandContext,
  key: string,
  environment: string | undefined,
): Promise<CommandResult> {
  await ctx.client.request({
    role: 'service',
    method: 'DELETE',
    path: `/control/v1/variables/${encodeURIComponent(key)}`,
    query: { environment },
  });
  const where = environment === undefined ? '' : ` of ${environment}`;
  return { json: { key, unset: true }, text: () => `vars.${key}${where} is gone.` };
}

async function branding(ctx: CommandContext, fields: readonly string[]): Promise<CommandResult> {
  const change = Object.fromEntries(
    fields.map((field) => {
      const sign = field.indexOf('=');
      if (sign < 1) throw new CliError('usage', `"${field}" is not of the form field=value.`);
      const value = field.slice(sign + 1);
      return [field.slice(0, sign), value === '' ? null : value];
    }),
  );
  const answer = await ctx.client.request({
    role: 'service',
    path: '/control/v1/branding',
    ...(fields.length === 0 ? { method: 'GET' } : { method: 'PUT', body: change }),
  });
  return {
    json: answer,
    text: (style) =>
      table(
        style,
        ['FIELD', 'VALUE'],
        Object.entries(answer).map(([field, value]) => [field, String(value)]),
      ),
  };
}
