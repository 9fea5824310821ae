import { Command } from 'commander';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { CliError, type CommandResult } from './result.ts';
import { type CommandContext, runCommand, withServerOptions } from './run-command.ts';
import { fields } from './table.ts';

export type TriggerOptions = {
  readonly recipient: readonly string[];
  readonly data?: string;
  readonly actor?: string;
  readonly tenant?: string;
  readonly cancellationKey?: string;
};

export function triggerCommand(): Command {
  const command = new Command('trigger').description(
    'Run a workflow for one or more recipients; `belfry run` shows what happens.',
  );
  return withServerOptions(withTriggerOptions(command)).action((workflow: string, options) =>
    runCommand(options, (ctx) => triggerText(ctx, workflow, options)),
  );
}

/** What a trigger can have. */
export function withTriggerOptions(command: Command): Command {
  return command
    .argument('<workflow>', 'key of the workflow')
    .requiredOption('--recipient <id...>', 'user id, or a user or object as JSON')
    .option('--data <json>', 'data of the trigger, a JSON object')
    .option('--actor <id>', 'who did it: user id, or JSON')
    .option('--tenant <id>', 'id of the tenant, or a tenant as JSON')
    .option('--cancellation-key <key>', 'to cancel it by while it waits');
}

async function triggerText(
  ctx: CommandContext,
  workflow: string,
  options: TriggerOptions,
): Promise<CommandResult> {
  const answer = await trigger(ctx, workflow, options);
  const id = String(answer.workflow_run_id);
  return {
    json: answer,
    text: (style) =>
      fields(style, [
        ['workflow run', id],
        ['see it with', `belfry runs ${id}`],
      ]),
  };
}

/** A trigger's body. */
export function triggerBody(options: TriggerOptions): {
  readonly recipients: readonly Json[];
  readonly [field: string]: Json;
} {
  return {
    recipients: options.recipient.map((text) => reference(text, '--recipient')),
    ...(options.data === undefined ? {} : { data: parseObject(options.data, '--data') }),
    ...(options.actor === undefined ? {} : { actor: reference(options.actor, '--actor') }),
    ...(options.tenant === undefined ? {} : { tenant: reference(options.tenant, '--tenant') }),
    ...(options.cancellationKey === undefined ? {} : { cancellation_key: options.cancellationKey }),
  };
}

/** Triggers a workflow as the options say; the server's answer. */
export function trigger(
  ctx: CommandContext,
  workflow: string,
  options: TriggerOptions,
): Promise<JsonObject> {
  return ctx.client.request({
    role: 'secret',
    method: 'POST',
    path: `/v1/workflows/${encodeURIComponent(workflow)}/trigger`,
    body: triggerBody(options),
  });
}

/** An id as it is; text that begins like a JSON object is one. */
export function reference(text: string, option: string): string | JsonObject {
  return text.trimStart().startsWith('{') ? parseObject(text, option) : text;
}

/** The text as a JSON object; `option` is what an error names. */
export function parseObject(text: string, option: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError('usage', `${option} is not JSON: ${why}`);
  }
  if (isJsonObject(value)) return value;
  throw new CliError('usage', `${option} must be a JSON object, such as '{"name":"Ann"}'`);
}
