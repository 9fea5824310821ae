import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { ageText, durationText } from './duration.ts';
import { scopeText } from './scope-text.ts';
import type { Style } from './style.ts';
import { type Cell, fields, table } from './table.ts';
import { timeText } from './time-text.ts';

/** The server had other things to do than to count. */
const UNCOUNTED = 'An unknown number of runs';

/** `5,012,400 runs and 12 deliveries`. */
export function amountText({ runs, deliveries, estimated }: JsonObject): string {
  const about = estimated === true ? 'about ' : '';
  const some = Number(deliveries) > 0 ? ` and ${countText(deliveries, 'delivery')}` : '';
  return `${about}${countText(runs, 'run')}${some}`;
}

/** What an order would concern: how much, since when, samples. */
export function previewText(style: Style, preview: JsonObject, nowMs: number): string {
  const { oldest, scope } = preview;
  const samples = Array.isArray(preview.samples) ? preview.samples.filter(isJsonObject) : [];
  const head = fields(style, [
    ['scope', scopeText(scope)],
    ['queued', amountText(preview)],
    [
      'oldest',
      typeof oldest === 'string' ? `${timeText(oldest)}, ${ageText(oldest, nowMs)} ago` : 'nothing',
    ],
  ]);
  if (samples.length === 0) return head;
  const rows = table(
    style,
    ['SAMPLE RUN', 'WORKFLOW', 'TENANT', 'RECIPIENT', 'ACCEPTED'],
    samples.map((sample) => [
      String(sample.run_id),
      String(sample.workflow),
      String(sample.tenant ?? ''),
      recipientText(sample.recipient),
      timeText(String(sample.accepted_at)),
    ]),
  );
  return `${head}\n\n${rows}`;
}

/** What happens from now on, until when, and the way back. */
export function givenText(style: Style, order: JsonObject, nowMs: number): string {
  const { id, verb, rate, expires_at: expiresAt, concerned } = order;
  const amount = isJsonObject(concerned) ? amountText(concerned) : UNCOUNTED;
  const until =
    typeof expiresAt === 'string'
      ? `${timeText(expiresAt)} (${durationText((Date.parse(expiresAt) - nowMs) / 1_000)})`
      : 'somebody ends it';
  const of = scopeText(order.scope);
  const lines = {
    hold: [
      `Order ${id}: hold of ${of}. ${amount} wait; nothing of it starts any more, nor what comes.`,
      `It lasts until ${until}, then it is released by itself; --for changes that.`,
    ],
    slow: [
      `Order ${id}: ${of} is slowed down to ${rate} runs/s. ${amount} wait.`,
      `It lasts until ${until}, then everything goes on by itself; --for changes that.`,
    ],
    discard: [
      `Order ${id}: discard of ${of}. ${amount} will not be done; nothing of it starts any more.`,
      `It is kept until ${until}, then it is dropped for good; look at it with: belfry orders ${id} --export FILE`,
    ],
  }[String(verb)] ?? [`Order ${id}`];
  return [...lines, style.bold(`undo with: ${undoCommand(order)}`)].join('\n');
}

export function undoCommand({ verb, id }: JsonObject): string {
  return `belfry ${verb === 'discard' ? 'replay' : 'release'} ${id}`;
}

export function ordersTable(style: Style, orders: readonly JsonObject[], nowMs: number): string {
  return table(
    style,
    ['ID', 'VERB', 'STATE', 'SCOPE', 'ASIDE', 'AGE', 'AUTHOR', 'REASON', 'EXPIRES'],
    orders.map((order) => [
      String(order.id),
      verbText(order),
      stateCell(style, order),
      scopeText(order.scope),
      isJsonObject(order.aside) ? Number(order.aside.runs).toLocaleString('en') : '',
      ageText(String(order.created_at), nowMs),
      String(order.author),
      String(order.reason),
      order.state === 'active' ? timeText(textOf(order.expires_at)) : '',
    ]),
  );
}

/** Everything about one order, with what can be done about it. */
export function orderText(style: Style, order: JsonObject, nowMs: number): string {
  const { id, state, aside } = order;
  const time = (value: Json | undefined) =>
    typeof value === 'string' ? `${timeText(value)}, ${ageText(value, nowMs)} ago` : '';
  const isActive = state === 'active';
  const head = fields(style, [
    ['order', String(id)],
    ['verb', verbText(order)],
    ['state', stateCell(style, order)],
    ['scope', scopeText(order.scope)],
    ['aside', isJsonObject(aside) ? amountText(aside) : ''],
    ['given', time(order.created_at)],
    ['by', String(order.author)],
    ['reason', String(order.reason)],
    [order.verb === 'discard' ? 'dropped at' : 'expires', timeText(textOf(order.expires_at))],
    ['ended', time(order.ended_at)],
    ['ended by', textOf(order.ended_by)],
    ['end reason', textOf(order.end_reason)],
    ['dropped', time(order.dropped_at)],
  ]);
  if (!isActive) return head;
  return `${head}\n\n${style.dim(`export with: belfry orders ${id} --export FILE\nundo with: ${undoCommand(order)}`)}`;
}

export function countText(value: Json | undefined, singular: string): string {
  const count = Number(value ?? 0);
  const plural = singular.endsWith('y') ? `${singular.slice(0, -1)}ies` : `${singular}s`;
  return `${count.toLocaleString('en')} ${count === 1 ? singular : plural}`;
}

function verbText({ verb, rate }: JsonObject): string {
  return typeof rate === 'number' ? `${verb} ${rate}/s` : String(verb);
}

function stateCell(style: Style, { state }: JsonObject): Cell {
  const text = String(state);
  if (text === 'active') return { text, mark: style.yellow };
  return text;
}

function recipientText(recipient: Json | undefined): string {
  if (!isJsonObject(recipient)) return String(recipient ?? '');
  return `${String(recipient.collection)}/${String(recipient.id)}`;
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
