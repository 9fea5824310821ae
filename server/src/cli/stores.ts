import { Command } from 'commander';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import type { CommandResult } from './result.ts';
import { type CommandContext, runCommand, withServerOptions } from './run-command.ts';
import type { Style } from './style.ts';
import { timeText } from './time-text.ts';

export function storesCommand(): Command {
  return withServerOptions(
    new Command('stores').description(
      'How the stores beside the database do, and what waits for them; exit code 1 when one does not take anything.',
    ),
  ).action((options) => runCommand(options, stores));
}

async function stores(ctx: CommandContext): Promise<CommandResult> {
  const answer = await ctx.client.request({
    role: 'operator',
    method: 'GET',
    path: '/ops/v1/stores',
  });
  const shown = STORES.flatMap(([key, view]) => {
    const store = answer[key];
    return isJsonObject(store) ? [{ store, view }] : [];
  });
  return {
    json: answer,
    failed: shown.some(({ store }) => store.state === 'failing' || store.state === 'down'),
    text: (style) =>
      shown.length === 0
        ? 'No store is configured: everything is in the database.'
        : shown.map(({ store, view }) => view(store, style)).join('\n\n'),
  };
}

type View = (store: JsonObject, style: Style) => string;

/** A line for each store of the answer. */
const STORES: readonly (readonly [string, View])[] = [
  ['object_store', objectStoreView],
  ['log_store', logStoreView],
];

function objectStoreView(store: JsonObject, style: Style): string {
  const backlog = objectOf(store.backlog);
  const ring = objectOf(store.ring);
  const moved = objectOf(store.moved);
  const requests = Object.entries(objectOf(store.requests))
    .filter(([, count]) => count !== 0)
    .map(([outcome, count]) => `${String(count)} ${outcome.replaceAll('_', ' ')}`);
  const oldest = backlog.oldest_at === null ? '' : `, since ${timeText(String(backlog.oldest_at))}`;
  const lines = [
    ['waits', `${bytesText(backlog.bytes)} in ${String(backlog.packs)} packs${oldest}`],
    ['ring', `${bytesText(ring.bytes)} of ${bytesText(ring.bound_bytes)}`],
    ['moved', `${bytesText(moved.bytes)} in ${String(moved.objects)} objects`],
    ['requests', requests.length === 0 ? 'none' : requests.join(', ')],
    ['stays in the database', `${String(store.kept_in_database)} contents`],
    ['to be blanked', String(store.erasures_open)],
  ];
  return [
    `${style.bold('object store')} ${String(store.place)}: ${stateText(store, style)}`,
    ...lines.map(([name = '', text = '']) => `  ${name.padEnd(22)}${text}`),
  ].join('\n');
}

function logStoreView(store: JsonObject, style: Style): string {
  const lines = [
    [
      'data as of',
      store.data_as_of === null ? 'not known yet' : timeText(String(store.data_as_of)),
    ],
    ['waits', `${bytesText(store.backlog_bytes)} of ids`],
    ['gaps', String(store.gaps)],
    ['shipped', `${String(store.shipped_rows)} rows`],
    ['left out', `${String(store.refused_rows)} rows that it cannot read`],
    ['failures', String(store.failures)],
    ['to be deleted', `${String(store.deletions_open)} recipients`],
  ];
  return [
    `${style.bold('log store')} ${String(store.place)}: ${stateText(store, style)}`,
    ...lines.map(([name = '', text = '']) => `  ${name.padEnd(22)}${text}`),
  ].join('\n');
}

function stateText({ state, reason }: JsonObject, style: Style): string {
  if (state === 'up') return style.green('up');
  if (state === 'starting') return 'starting';
  return style.red(`${String(state)} (${String(reason)})`);
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

function bytesText(value: unknown): string {
  let amount = Number(value);
  let unit = 0;
  for (; amount >= 1_000 && unit < UNITS.length - 1; unit++) amount /= 1_000;
  return `${unit === 0 ? amount : amount.toFixed(1)} ${UNITS[unit]}`;
}

const objectOf = (value: unknown): JsonObject => (isJsonObject(value) ? value : {});
