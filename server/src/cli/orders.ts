import { Command } from 'commander';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { type ByOptions, byFields, withByOptions } from './author.ts';
import { exportTo } from './export-order.ts';
import { countText, ordersTable, orderText } from './order-view.ts';
import { CliError, type CommandResult } from './result.ts';
import {
  type CommandContext,
  type CommonOptions,
  runCommand,
  withServerOptions,
} from './run-command.ts';
import { scopeText } from './scope-text.ts';

type OrdersOptions = CommonOptions & {
  readonly active?: boolean;
  readonly limit: string;
  readonly export?: string;
};

export function ordersCommand(): Command {
  return withServerOptions(
    new Command('orders')
      .description(
        'Show orders about queued work, active ones first; or one, or export what it set aside.',
      )
      .argument('[id]', 'order')
      .option('--active', 'only those that last')
      .option('--limit <n>', 'how many', '20')
      .option('--export <file>', 'write what it set aside to a new file, a JSON object a line'),
  ).action((id: string | undefined, options: OrdersOptions) =>
    runCommand(options, (ctx) => {
      if (options.export !== undefined) return exportOrder(ctx, id, options.export);
      return id === undefined ? list(ctx, options) : show(ctx, id);
    }),
  );
}

export function releaseCommand(): Command {
  return endCommand('release', 'Let go on what a hold or a slow set aside.');
}

export function replayCommand(): Command {
  return endCommand('replay', 'Do what was discarded after all: each run once.');
}

function endCommand(name: 'release' | 'replay', description: string): Command {
  return withByOptions(
    withServerOptions(
      new Command(name)
        .description(description)
        .argument('<id>', 'order, as `belfry orders` shows it'),
    ),
  ).action((id: string, options: CommonOptions & ByOptions) =>
    runCommand(options, (ctx) => end(ctx, name, id, options)),
  );
}

async function end(
  ctx: CommandContext,
  name: 'release' | 'replay',
  id: string,
  options: ByOptions,
): Promise<CommandResult> {
  const before = await readOrder(ctx, id);
  const fitting = before.verb === 'discard' ? 'replay' : 'release';
  if (name !== fitting) {
    throw new CliError(
      'conflict',
      `Order ${id} is a ${String(before.verb)}; end it with: belfry ${fitting} ${id}`,
    );
  }
  const order = await ctx.client.request({
    role: 'operator',
    method: 'POST',
    path: `/ops/v1/orders/${encodeURIComponent(id)}/undo`,
    body: byFields(options),
  });
  const runs = isJsonObject(before.aside)
    ? countText(before.aside.runs, 'run')
    : 'what it set aside';
  const of = scopeText(order.scope);
  return {
    json: order,
    text: () =>
      name === 'release'
        ? `Order ${id} is over; in the account's turn goes on: ${runs} of ${of}.`
        : `Order ${id} is over; in the account's turn is done after all: ${runs} of ${of}.`,
  };
}

async function list(ctx: CommandContext, options: OrdersOptions): Promise<CommandResult> {
  const answer = await ctx.client.request({
    role: 'operator',
    method: 'GET',
    path: '/ops/v1/orders',
    query: { active: options.active ? 'true' : undefined, limit: options.limit },
  });
  const entries = Array.isArray(answer.entries) ? answer.entries.filter(isJsonObject) : [];
  return {
    json: answer,
    text: (style) =>
      entries.length === 0
        ? 'There are no orders: everything that is queued is done as it comes.'
        : ordersTable(style, entries, Date.now()),
  };
}

async function show(ctx: CommandContext, id: string): Promise<CommandResult> {
  const order = await readOrder(ctx, id);
  return { json: order, text: (style) => orderText(style, order, Date.now()) };
}

async function exportOrder(
  ctx: CommandContext,
  id: string | undefined,
  file: string,
): Promise<CommandResult> {
  if (id === undefined) {
    throw new CliError(
      'usage',
      'Which order? Give its id before --export; `belfry orders` lists them.',
    );
  }
  const order = await readOrder(ctx, id);
  const expected = isJsonObject(order.aside) ? Number(order.aside.runs) : 0;
  const body = await ctx.client.stream({
    role: 'operator',
    method: 'GET',
    path: `/ops/v1/orders/${encodeURIComponent(id)}/export`,
  });
  const written = await exportTo(file, body, expected, process.stderr);
  const json = { order: Number(id), file, ...written };
  return {
    json,
    text: () => `${countText(written.lines, 'line')} of order ${id} are in ${file}.`,
  };
}

function readOrder(ctx: CommandContext, id: string): Promise<JsonObject> {
  return ctx.client.request({
    role: 'operator',
    method: 'GET',
    path: `/ops/v1/orders/${encodeURIComponent(id)}`,
  });
}
