import { Command } from 'commander';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { broadcastsTable, broadcastText, broadcastView, numberText } from './broadcast-view.ts';
import { exportTo } from './export-order.ts';
import { showLive } from './live.ts';
import { CliError, type CommandResult } from './result.ts';
import { type CommandContext, runCommand, withServerOptions } from './run-command.ts';
import { createStyle } from './style.ts';
import { parseObject, reference } from './trigger.ts';

const LISTED = 50;

type StartOptions = {
  readonly audience?: string;
  readonly key?: string;
  readonly data?: string;
  readonly actor?: string;
  readonly tenant?: string;
  readonly rate?: string;
  readonly canary?: string;
  readonly maxFailed?: string;
  readonly hold?: boolean;
};

export function broadcastCommand(): Command {
  const broadcast = new Command('broadcast').description(
    'Run a workflow for a whole audience, each recipient exactly once.',
  );
  broadcast.addCommand(
    withServerOptions(
      new Command('start')
        .description('Freeze an audience and send to it, a small part first.')
        .argument('<workflow>', 'key of the workflow')
        .option('--audience <key>', 'whom it goes to; all users without it')
        .option('--key <key>', 'a name of your own, so that starting twice is refused')
        .option('--data <json>', 'data of the workflow, a JSON object')
        .option('--actor <id>', 'who did it: user id, or JSON')
        .option('--tenant <id>', "everybody's tenant")
        .option('--rate <n>', 'recipients per second at the most')
        .option('--canary <n>', 'how many go first; 1 %, at most 100, without it')
        .option('--max-failed <percent>', 'of the canary; more pauses the broadcast', '5')
        .option('--hold', 'freeze only, and wait for `broadcast resume`'),
    ).action((workflow: string, options) =>
      runCommand(options, (ctx) => start(ctx, workflow, options)),
    ),
  );
  broadcast.addCommand(
    withServerOptions(new Command('list').description('The newest broadcasts.')).action((options) =>
      runCommand(options, list),
    ),
  );
  broadcast.addCommand(
    withServerOptions(
      new Command('show')
        .description('A broadcast with its progress.')
        .argument('<id>', 'id or key of the broadcast')
        .option('--watch', 'live, until q'),
    ).action((id: string, options) =>
      runCommand(options, (ctx) => show(ctx, id, options.watch === true)),
    ),
  );
  const verbs = {
    pause: 'Send nothing more until it is resumed.',
    resume: 'Go on where it was paused; after a failed canary, with everybody else.',
    cancel: 'Stop for good; who got it is final when it is cancelled.',
    retry: 'A new broadcast to those whose run failed or whose message could not be delivered.',
  };
  for (const [verb, description] of Object.entries(verbs)) {
    broadcast.addCommand(
      withServerOptions(
        new Command(verb).description(description).argument('<id>', 'id or key of the broadcast'),
      ).action((id: string, options) => runCommand(options, (ctx) => change(ctx, id, verb))),
    );
  }
  broadcast.addCommand(
    withServerOptions(
      new Command('rate')
        .description('How many recipients a second there may be, also while it is running.')
        .argument('<id>', 'id or key of the broadcast')
        .argument('<n>', 'recipients per second, or `none` for as fast as it goes'),
    ).action((id: string, rate: string, options) =>
      runCommand(options, (ctx) =>
        change(ctx, id, 'rate', { rate: rate === 'none' ? null : numberOf(rate, '<n>') }),
      ),
    ),
  );
  broadcast.addCommand(
    withServerOptions(
      new Command('recipients')
        .description('Write whom it was sent to into a new file, a JSON object a line.')
        .argument('<id>', 'id or key of the broadcast')
        .argument('<file>', 'a file that does not exist yet'),
    ).action((id: string, file: string, options) =>
      runCommand(options, (ctx) => recipients(ctx, id, file)),
    ),
  );
  return broadcast;
}

async function start(
  ctx: CommandContext,
  workflow: string,
  options: StartOptions,
): Promise<CommandResult> {
  const { audience, key, data, actor, tenant, rate, canary, maxFailed } = options;
  const answer = await ctx.client.request({
    role: 'secret',
    method: 'POST',
    path: '/v1/broadcasts',
    body: {
      workflow,
      ...(audience !== undefined && { audience }),
      ...(key !== undefined && { key }),
      ...(data !== undefined && { data: parseObject(data, '--data') }),
      ...(actor !== undefined && { actor: reference(actor, '--actor') }),
      ...(tenant !== undefined && { tenant }),
      ...(rate !== undefined && { rate: numberOf(rate, '--rate') }),
      canary: {
        ...(canary !== undefined && { size: numberOf(canary, '--canary') }),
        ...(maxFailed !== undefined && {
          max_failed_share: numberOf(maxFailed, '--max-failed') / 100,
        }),
      },
      ...(options.hold && { start: false }),
    },
  });
  return {
    json: answer,
    text: (style) =>
      `${broadcastText(style, answer)}\n\nWatch it with: belfry broadcast show ${String(answer.id)} --watch`,
  };
}

async function list(ctx: CommandContext): Promise<CommandResult> {
  const answer = await ctx.client.request({
    role: 'secret',
    method: 'GET',
    path: '/v1/broadcasts',
    query: { page_size: String(LISTED) },
  });
  const entries = Array.isArray(answer.entries) ? answer.entries.filter(isJsonObject) : [];
  return {
    json: answer,
    text: (style) =>
      entries.length === 0 ? 'There are no broadcasts.' : broadcastsTable(style, entries),
  };
}

async function show(ctx: CommandContext, id: string, watch: boolean): Promise<CommandResult> {
  const read = () => ctx.client.request({ role: 'secret', method: 'GET', path: pathOf(id) });
  const answer = await read();
  const { stdin, stdout } = process;
  if (!watch || ctx.json || !stdout.isTTY || !stdin.isTTY) {
    return {
      json: answer,
      text: (style) =>
        broadcastView(answer, { columns: stdout.columns, style, nowMs: Date.now() }).join('\n'),
    };
  }
  const style = createStyle(ctx.config.colours);
  await showLive({
    stdin,
    stdout,
    first: answer,
    read,
    view: (value, { columns, rows }) =>
      broadcastView(value, { columns, style, nowMs: Date.now() }).slice(0, rows),
  });
  // A read of a server that hangs would keep the process for half a minute.
  process.exit(0);
}

async function change(
  ctx: CommandContext,
  id: string,
  verb: string,
  body?: JsonObject,
): Promise<CommandResult> {
  const answer = await ctx.client.request({
    role: 'secret',
    method: 'POST',
    path: `${pathOf(id)}/${verb}`,
    ...(body && { body }),
  });
  return { json: answer, text: (style) => broadcastText(style, answer) };
}

async function recipients(ctx: CommandContext, id: string, file: string): Promise<CommandResult> {
  const broadcast = await ctx.client.request({ role: 'secret', method: 'GET', path: pathOf(id) });
  const progress = isJsonObject(broadcast.progress) ? broadcast.progress : {};
  const body = await ctx.client.stream({
    role: 'secret',
    method: 'GET',
    path: `${pathOf(id)}/recipients`,
  });
  const written = await exportTo(file, body, Number(progress.sent), process.stderr);
  const isFinal = broadcast.state === 'finished' || broadcast.state === 'cancelled';
  return {
    json: { broadcast: broadcast.id ?? id, file, final: isFinal, ...written },
    text: () =>
      `${numberText(written.lines)} recipients are in ${file}.${
        isFinal ? '' : ` The broadcast is ${String(broadcast.state)}: there may be more.`
      }`,
  };
}

function pathOf(id: string): string {
  return `/v1/broadcasts/${encodeURIComponent(id)}`;
}

function numberOf(text: string, option: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw new CliError('usage', `${option} must be a number, not ${JSON.stringify(text)}`);
}
