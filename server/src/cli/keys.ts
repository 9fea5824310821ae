import { Command, Option } from 'commander';
import { isJsonObject } from '../lib/json.ts';
import { type ByOptions, byFields, withByOptions } from './author.ts';
import { requestOrder } from './order-verbs.ts';
import { givenText } from './order-view.ts';
import { CliError, type CommandResult } from './result.ts';
import { type CommandContext, runCommand, withServerOptions } from './run-command.ts';
import { fields, table } from './table.ts';
import { timeText } from './time-text.ts';

const KINDS = ['secret', 'public', 'signing', 'service', 'operator'];
const OF_ENVIRONMENT = new Set(['secret', 'public', 'signing']);

type RevokeOptions = ByOptions & { readonly hold?: boolean };

type KeyOptions = ByOptions & {
  readonly account?: string;
  readonly kind: string;
  readonly name?: string;
};

export function keysCommand(): Command {
  const keys = new Command('keys').description('List, create and revoke keys.');
  keys.addCommand(
    withServerOptions(
      new Command('list')
        .description('List keys of every kind, newest first.')
        .option('--account <name>', 'only of this account'),
    ).action((options, command: Command) => {
      const isNamed = command.getOptionValueSource('environment') === 'cli';
      return runCommand(options, (ctx) => list(ctx, options.account, isNamed));
    }),
  );
  keys.addCommand(
    withByOptions(
      withServerOptions(
        new Command('create')
          .description('Create a key; its text is shown once.')
          .addOption(new Option('--kind <kind>', 'of key').choices(KINDS).default('secret'))
          .option('--account <name>', 'whose key (not for kind operator)', 'demo')
          .option('--name <name>', 'whose token (kinds operator and service)'),
      ),
    ).action((options) => runCommand(options, (ctx) => create(ctx, options))),
  );
  keys.addCommand(
    withByOptions(
      withServerOptions(
        new Command('revoke')
          .description('End a key at once.')
          .argument('<id>', 'key, as `keys list` shows it, or the last four characters')
          .option('--hold', 'hold what it brought, too; needs --reason'),
      ),
    ).action((id: string, options) => runCommand(options, (ctx) => revoke(ctx, id, options))),
  );
  return keys;
}

async function list(
  ctx: CommandContext,
  account: string | undefined,
  onlyEnvironment: boolean,
): Promise<CommandResult> {
  const answer = await ctx.client.request({
    role: 'operator',
    method: 'GET',
    path: '/ops/v1/keys',
    query: { account, environment: onlyEnvironment ? ctx.environment : undefined },
  });
  const entries = Array.isArray(answer.entries) ? answer.entries.filter(isJsonObject) : [];
  return {
    json: answer,
    text: (style) =>
      table(
        style,
        ['KEY', 'KIND', 'ACCOUNT', 'ENVIRONMENT', 'NAME', 'ENDS IN', 'MADE', 'REVOKED'],
        entries.map((key) => [
          String(key.id),
          String(key.kind),
          String(key.account ?? ''),
          String(key.environment ?? ''),
          String(key.name ?? ''),
          String(key.hint ?? ''),
          timeText(String(key.created_at)),
          typeof key.revoked_at === 'string'
            ? { text: timeText(key.revoked_at), mark: style.red }
            : '',
        ]),
      ),
  };
}

async function create(ctx: CommandContext, options: KeyOptions): Promise<CommandResult> {
  const { kind, account, name } = options;
  const key = await ctx.client.request({
    role: 'operator',
    method: 'POST',
    path: '/ops/v1/keys',
    body: {
      kind,
      ...(kind === 'operator' ? {} : { account }),
      ...(OF_ENVIRONMENT.has(kind) ? { environment: ctx.environment } : {}),
      ...(name === undefined ? {} : { name }),
      ...byFields(options),
    },
  });
  return {
    json: key,
    text: (style) => {
      const head = fields(style, [
        ['key', String(key.id)],
        ['kind', String(key.kind)],
        ['account', String(key.account ?? '')],
        ['environment', String(key.environment ?? '')],
      ]);
      return `${head}\n\n${String(key.key).trimEnd()}\n\n${style.dim('It is shown this once; keep it now.')}`;
    },
  };
}

async function revoke(
  ctx: CommandContext,
  reference: string,
  options: RevokeOptions,
): Promise<CommandResult> {
  const { hold = false, reason } = options;
  if (hold && !reason) {
    throw new CliError('usage', '--hold needs a reason for the audit log: give --reason TEXT.');
  }
  const key = await ctx.client.request({
    role: 'operator',
    method: 'POST',
    path: `/ops/v1/keys/${encodeURIComponent(reference)}/revoke`,
    body: byFields(options),
  });
  const id = String(key.id);
  const ended = `${id} opens nothing any more.`;
  const holdCommand = `belfry hold --key ${id} --reason ${JSON.stringify(reason ?? 'leaked key')}`;
  if (key.kind !== 'secret') {
    const nothing = hold
      ? ` A ${String(key.kind)} key brings no work, so there is nothing to hold.`
      : '';
    return { json: { ...key, revoked: true }, text: () => ended + nothing };
  }
  if (!hold) {
    return {
      json: { ...key, revoked: true, hold: holdCommand },
      text: (style) => `${ended}\n${style.bold(`hold what it brought with: ${holdCommand}`)}`,
    };
  }
  const order = await requestOrder(ctx, {
    verb: 'hold',
    scope: { key: id },
    ...byFields(options),
  }).catch((error: unknown) => {
    if (!(error instanceof CliError)) throw error;
    const message = `${ended} But what it brought is not held: ${error.message}\nTry again: ${holdCommand}`;
    throw new CliError(error.code, message, error.details);
  });
  return {
    json: { ...key, revoked: true, order },
    text: (style) => `${ended}\n${givenText(style, order, Date.now())}`,
  };
}
