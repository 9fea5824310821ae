import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { durationText } from './duration.ts';
import type { Style } from './style.ts';
import { fields, table } from './table.ts';
import { timeText } from './time-text.ts';

const DEFAULT_COLUMNS = 80;
const MAX_BAR = 60;
/** Left of the values. */
const NAMES = 11;
/** Right of the bar: the percentage. */
const PERCENT = 9;

/** A broadcast without its progress; a reason is cut at `columns`. */
export function broadcastText(style: Style, broadcast: JsonObject, columns?: number): string {
  return fields(style, [
    ['broadcast', String(broadcast.id)],
    ['key', textOf(broadcast.key)],
    ['workflow', textOf(broadcast.workflow)],
    ['audience', audienceText(broadcast)],
    ['state', stateCell(style, broadcast)],
    ['reason', textOf(broadcast.reason).slice(0, columns && columns - NAMES)],
    ['rate', rateText(broadcast.rate)],
    ['canary', canaryText(broadcast.canary)],
    ['created', timeText(textOf(broadcast.created_at))],
  ]);
}

/** A broadcast with its progress: bar, numbers, and when it will be finished. */
export function broadcastView(
  broadcast: JsonObject,
  around: { readonly columns: number | undefined; readonly style: Style; readonly nowMs: number },
): string[] {
  const { style, nowMs } = around;
  const progress = isJsonObject(broadcast.progress) ? broadcast.progress : {};
  const lines = [...broadcastText(style, broadcast, around.columns).split('\n'), ''];
  if (typeof progress.total !== 'number') {
    return [...lines, `${numberText(progress.frozen)} recipients are frozen so far.`];
  }
  const settled = Number(progress.done) + Number(progress.failed) + Number(progress.discarded);
  const share = progress.total === 0 ? 1 : settled / progress.total;
  lines.push(bar(share, around.columns ?? DEFAULT_COLUMNS, style), '');
  lines.push(
    ...fields(style, [
      ['recipients', numberText(progress.total)],
      ['sent', numberText(progress.sent)],
      ['done', numberText(progress.done)],
      ['failed', failedCell(style, progress.failed)],
      ['discarded', Number(progress.discarded) > 0 ? numberText(progress.discarded) : ''],
      ['per second', numberText(progress.per_second)],
      ['finished', estimateText(progress.finish_estimate_at, nowMs)],
    ]).split('\n'),
  );
  if (progress.stuck === true) {
    lines.push('', style.bold(style.red('It is stuck: nothing was done for a minute.')));
  }
  return lines;
}

export function broadcastsTable(style: Style, broadcasts: readonly JsonObject[]): string {
  return table(
    style,
    ['ID', 'KEY', 'WORKFLOW', 'AUDIENCE', 'STATE', 'RECIPIENTS', 'CREATED'],
    broadcasts.map((broadcast) => [
      String(broadcast.id),
      textOf(broadcast.key),
      textOf(broadcast.workflow),
      audienceText(broadcast),
      stateCell(style, broadcast),
      broadcast.total === null ? '' : numberText(broadcast.total),
      timeText(textOf(broadcast.created_at)),
    ]),
  );
}

export function numberText(value: Json | undefined): string {
  return Number(value ?? 0).toLocaleString('en');
}

function bar(share: number, columns: number, style: Style): string {
  const width = Math.max(10, Math.min(MAX_BAR, columns - PERCENT));
  const full = Math.floor(share * width);
  // Rounded down, so that 100 % means all.
  const percent = `${(Math.floor(share * 1_000) / 10).toFixed(1)} %`;
  return `${style.green('█'.repeat(full))}${style.dim('░'.repeat(width - full))} ${percent.padStart(7)}`;
}

function estimateText(at: Json | undefined, nowMs: number): string {
  if (typeof at !== 'string') return '';
  const seconds = Math.max(0, (Date.parse(at) - nowMs) / 1_000);
  return `in ${durationText(seconds)}, ${timeText(at)}`;
}

function audienceText({ audience, retry_of: retryOf }: JsonObject): string {
  if (typeof retryOf === 'string') return `failed of ${retryOf}`;
  return typeof audience === 'string' ? audience : 'all users';
}

function stateCell(style: Style, { state }: JsonObject) {
  const text = String(state);
  const marks: Readonly<Record<string, (text: string) => string>> = {
    paused: style.yellow,
    cancelling: style.yellow,
    finished: style.green,
  };
  return { text, mark: marks[text] ?? ((same: string) => same) };
}

function failedCell(style: Style, failed: Json | undefined) {
  return Number(failed) > 0 ? { text: numberText(failed), mark: style.red } : '0';
}

function rateText(rate: Json | undefined): string {
  return typeof rate === 'number' ? `${numberText(rate)} per second` : '';
}

function canaryText(canary: Json | undefined): string {
  if (!isJsonObject(canary) || typeof canary.size !== 'number') return '';
  if (canary.size === 0) return 'none';
  const state = canary.state === 'open' ? '' : `, ${String(canary.state)}`;
  return `${numberText(canary.size)} recipients${state}`;
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
