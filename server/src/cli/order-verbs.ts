import { Command } from 'commander';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { type ByOptions, byFields } from './author.ts';
import { confirm } from './confirm.ts';
import { parseDuration } from './duration.ts';
import { amountText, givenText, previewText, undoCommand } from './order-view.ts';
import { CliError, type CommandResult } from './result.ts';
import {
  type CommandContext,
  type CommonOptions,
  runCommand,
  withServerOptions,
} from './run-command.ts';
import { scopeText } from './scope-text.ts';
import { createStyle } from './style.ts';

type Verb = 'hold' | 'slow' | 'discard';

type VerbOptions = CommonOptions &
  ByOptions & {
    readonly account?: string;
    readonly key?: string;
    readonly workflow?: string;
    readonly tenant?: string;
    readonly from?: string;
    readonly to?: string;
    readonly for?: string;
    readonly rate?: string;
    readonly preview?: boolean;
    readonly yes?: boolean;
  };

export function holdCommand(): Command {
  return verbCommand('hold', 'Stop queued work, and what comes, until it is released.', {
    flag: '--for <time>',
    description: 'when it is released by itself, such as 2h (24h)',
  });
}

export function slowCommand(): Command {
  const command = verbCommand('slow', 'Let queued work, and what comes, start at a rate.', {
    flag: '--for <time>',
    description: 'when it ends by itself, such as 2h (24h)',
  });
  return command.requiredOption('--rate <n>', 'runs per second that may start');
}

export function discardCommand(): Command {
  return verbCommand('discard', 'Never do what is queued now; it can be replayed for a while.', {
    flag: '--for <time>',
    description: 'how long it is kept for export and replay, such as 2d (7d)',
  });
}

function verbCommand(
  verb: Verb,
  description: string,
  expiry: { readonly flag: string; readonly description: string },
): Command {
  const command = new Command(verb)
    .description(`${description} Shows what it concerns and asks.`)
    .option('--account <name>', 'whose work')
    .option('--key <key>', 'that this API key brought: last four characters or id')
    .option('--workflow <key>', 'of this workflow')
    .option('--tenant <id>', 'of this tenant')
    .option('--from <time>', 'accepted then or later, such as 2026-05-01T04:00:20Z')
    .option('--to <time>', 'accepted before')
    .option(expiry.flag, expiry.description)
    .option('--reason <text>', 'why, for the audit log; needed')
    .option('--author <name>', 'who, for the audit log (the user of this machine)')
    .option('--preview', 'only show what it would concern; change nothing')
    .option('--yes', 'do not ask');
  return withServerOptions(command, 'any').action((options: VerbOptions) =>
    runCommand(options, async (ctx) => giveOrder(ctx, verb, scopeOf(options), options)),
  );
}

function scopeOf(options: VerbOptions): JsonObject {
  const { account, environment, key, workflow, tenant, from, to } = options;
  if (account === undefined && key === undefined) {
    throw new CliError(
      'usage',
      'Whose work? Give --account, or --key; `belfry top` shows whose traffic it is.',
    );
  }
  const entries = {
    account,
    environment,
    key,
    workflow,
    tenant,
    from: from === undefined ? undefined : time('--from', from),
    to: to === undefined ? undefined : time('--to', to),
  };
  return Object.fromEntries(
    Object.entries(entries).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    ),
  );
}

/** With its zone; a time without one is of this machine. */
function time(flag: string, text: string): string {
  const parsed = new Date(text);
  if (/^\d{4}-\d\d-\d\dT/.test(text) && !Number.isNaN(parsed.getTime()))
    return parsed.toISOString();
  throw new CliError(
    'usage',
    `${flag} is "${text}"; write a time such as 2026-05-01T04:00:20Z or 2026-05-01T06:00:20+02:00.`,
  );
}

async function giveOrder(
  ctx: CommandContext,
  verb: Verb,
  scope: JsonObject,
  options: VerbOptions,
): Promise<CommandResult> {
  const { reason, rate, preview: onlyPreview = false, yes = false } = options;
  if (onlyPreview) {
    const preview = await readPreview(ctx, scope);
    return { json: preview, text: (style) => previewText(style, preview, Date.now()) };
  }
  if (reason === undefined || reason.trim() === '') {
    throw new CliError('usage', `Why? Give --reason TEXT; others will read it in the audit log.`);
  }
  const expiresIn = options.for === undefined ? undefined : parseDuration('--for', options.for);
  if (!yes) {
    const preview = await readPreview(ctx, scope);
    const style = createStyle(process.stderr.isTTY && ctx.config.colours);
    ctx.say(`${previewText(style, preview, Date.now())}\n`);
    await confirm(questionText(verb, preview, rate));
  }
  const order = await requestOrder(ctx, {
    verb,
    scope,
    ...byFields(options),
    ...(expiresIn === undefined ? {} : { expires_in: expiresIn }),
    ...(rate === undefined ? {} : { rate: Number(rate) }),
  });
  return { json: order, text: (style) => givenText(style, order, Date.now()) };
}

/** Gives the order; the answer has the command that undoes it. */
export async function requestOrder(ctx: CommandContext, body: JsonObject): Promise<JsonObject> {
  const order = await ctx.client.request({
    role: 'operator',
    method: 'POST',
    path: '/ops/v1/orders',
    body,
  });
  return { ...order, undo: undoCommand(order) };
}

function readPreview(ctx: CommandContext, scope: JsonObject): Promise<JsonObject> {
  return ctx.client.request({
    role: 'operator',
    method: 'POST',
    path: '/ops/v1/orders/preview',
    body: { scope },
  });
}

function questionText(verb: Verb, preview: JsonObject, rate: string | undefined): string {
  const what = `${amountText(preview)} of ${isJsonObject(preview.scope) ? scopeText(preview.scope) : 'this'}`;
  const questions = {
    hold: `Hold ${what}?`,
    slow: `Slow ${what} down to ${rate} runs/s?`,
    discard: `Discard ${what}?`,
  };
  return questions[verb];
}
