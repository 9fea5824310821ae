import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import type { Style } from './style.ts';
import { printable } from './table.ts';

type Size = {
  /** Undefined: as wide as it gets. */
  readonly columns: number | undefined;
  /** Undefined: as long as it gets. */
  readonly rows: number | undefined;
  readonly style: Style;
};

const ROWS_OF_A_FILE = 40;
const COLUMNS_OF_A_FILE = 100;
/** Right of the names: runs, refused, share, times normal, since. */
const NUMBERS = 46;

/** The answer of `/ops/v1/top` for a terminal: lines that fit into the size, most important first. */
export function topView(top: JsonObject, { columns, rows, style }: Size): string[] {
  const width = columns === undefined ? COLUMNS_OF_A_FILE : Math.max(40, columns);
  const height = rows ?? ROWS_OF_A_FILE;
  const total = isJsonObject(top.total) ? top.total : {};
  const at = String(top.at).slice(11, 19);
  const head = [
    style.bold(`Traffic of the last ${windowText(top.window)}`) + style.dim(`, ${at} UTC`),
    fit(
      `${count(total.runs_per_s)} runs/s in ${count(total.triggers_per_s)} triggers/s, ` +
        `${count(total.refused_per_s)} refused/s, ${bytes(total.bytes_per_s)}/s`,
      width,
    ),
    style.dim(fit(normalText(top), width)),
    '',
  ];
  const { culprit } = top;
  const texts = list(top.surges).map(String);
  // The first words name the caller: a surge that is in quarantine is told once.
  const others = texts.filter((text) => text.split(':')[0] !== String(culprit).split(':')[0]);
  const surges = (typeof culprit === 'string' ? [culprit, ...others] : texts)
    .slice(0, 2)
    .flatMap((text) => wrap(printable(text), width));
  const alarm =
    surges.length > 0
      ? [...surges.map((line) => style.bold(style.red(line))), '']
      : [style.green('Nobody is far above their normal.'), ''];

  const callers = objects(top.callers);
  const sources = objects(top.sources);
  const accounts = objects(top.accounts);
  const refused = refusals(accounts, width).map((line) => style.dim(line));
  const fixed = head.length + alarm.length + refused.length;
  // Three tables, each with a heading and a gap between them; who calls gets half of the room.
  const room = Math.max(3, height - fixed - 5);
  const small = Math.max(1, Math.floor(room / 4));
  const forAccounts = Math.min(small, Math.max(1, accounts.length));
  const forSources = Math.min(small, Math.max(1, sources.length));
  const forCallers = room - forAccounts - forSources;
  const draw = (headings: readonly string[], entries: readonly JsonObject[], limit: number) =>
    section(headings, entries.slice(0, limit), width, style);

  const lines = [
    ...head,
    ...alarm,
    ...draw(['ACCOUNT', 'KEY', 'WORKFLOW'], callers, forCallers),
    '',
    ...draw(['ACCOUNT'], accounts, forAccounts),
    ...refused,
    '',
    ...draw(['ADDRESS'], sources, forSources),
  ];
  return rows === undefined ? lines : lines.slice(0, rows);
}

/** One line: which budgets refused whom, the most first. */
function refusals(accounts: readonly JsonObject[], width: number): string[] {
  const all = accounts.flatMap((entry) =>
    Object.entries(isJsonObject(entry.refused_by) ? entry.refused_by : {}).map(
      ([budget, times]) => ({ who: nameOf('ACCOUNT', entry), budget, times: Number(times) }),
    ),
  );
  if (all.length === 0) return [];
  const texts = all
    .sort((a, b) => b.times - a.times)
    .map(({ who, budget, times }) => `${who} ${count(times)} by ${budget}`);
  return [fit(`Refused since the start: ${texts.join(', ')}`, width)];
}

function section(
  headings: readonly string[],
  entries: readonly JsonObject[],
  width: number,
  style: Style,
): string[] {
  const names = entries.map((entry) => headings.map((heading) => nameOf(heading, entry)));
  const widths = nameWidths(headings, names, width - NUMBERS);
  const heading = headings.map((text, i) => fit(text, widths[i] ?? 0, true)).join('  ');
  const rows = entries.map((entry, index) => {
    const texts = headings.map((_, i) => fit(names[index]?.[i] ?? '', widths[i] ?? 0, true));
    const line = `${texts.join('  ')}${numbers(entry)}`.trimEnd();
    return entry.since === null ? line : style.red(line);
  });
  return [
    style.dim(`${heading}${numberHeadings()}`.trimEnd()),
    ...(rows.length > 0 ? rows : [style.dim('nothing')]),
  ];
}

/** As wide as the texts; when that is too much, the widest are cut first. */
function nameWidths(
  headings: readonly string[],
  names: readonly (readonly string[])[],
  room: number,
): number[] {
  const widths = headings.map((heading, i) =>
    Math.max(heading.length, ...names.map((texts) => [...(texts[i] ?? '')].length)),
  );
  const gaps = 2 * (headings.length - 1);
  for (;;) {
    const sum = widths.reduce((a, b) => a + b, gaps);
    if (sum <= room) {
      // The numbers of all sections stand below each other.
      widths[widths.length - 1] = (widths.at(-1) ?? 0) + room - sum;
      return widths;
    }
    const widest = Math.max(...widths);
    if (widest <= 4) return widths;
    widths[widths.indexOf(widest)] = widest - 1;
  }
}

function nameOf(heading: string, entry: JsonObject): string {
  switch (heading) {
    case 'ACCOUNT': {
      const account = isJsonObject(entry.account) ? entry.account : {};
      return printable(typeof account.name === 'string' ? account.name : `#${account.id}`);
    }
    case 'KEY':
      return printable(isJsonObject(entry.key) ? `...${entry.key.hint}` : '');
    case 'WORKFLOW':
      return printable(typeof entry.workflow === 'string' ? entry.workflow : '(unknown)');
    default:
      return printable(String(entry.source ?? ''));
  }
}

function numberHeadings(): string {
  return cells(['RUNS/S', 'REFUSED', 'SHARE', 'NORMAL', 'SINCE']);
}

function numbers(entry: JsonObject): string {
  const { factor, since, share } = entry;
  return cells([
    count(entry.runs_per_s),
    count(entry.refused_per_s),
    `${Math.round(Number(share) * 100)} %`,
    typeof factor === 'number' ? times(factor) : '-',
    typeof since === 'string' ? since.slice(11, 19) : '',
  ]);
}

function cells([runs = '', refused = '', share = '', normal = '', since = '']: string[]): string {
  return [
    runs.padStart(9),
    refused.padStart(9),
    share.padStart(7),
    normal.padStart(9),
    since.padStart(10),
  ].join('');
}

function windowText(window: Json | undefined): string {
  if (window === '1m') return 'minute';
  return window === '10m' ? '10 minutes' : '10 seconds';
}

function normalText(top: JsonObject): string {
  const since = Date.parse(String(top.observed_since));
  const minutes = Math.floor((Date.parse(String(top.at)) - since) / 60_000);
  if (minutes >= 60) return 'Normal is the average of the last hour.';
  const age = minutes < 1 ? 'less than a minute' : `${minutes} min`;
  return `Normal is the average since the server started, ${age} ago.`;
}

function times(factor: number): string {
  return factor >= 10_000 ? '>9,999 x' : `${count(factor)} x`;
}

/** 12,345; below ten with one digit. */
function count(value: Json | undefined): string {
  const number = Number(value ?? 0);
  if (number > 0 && number < 9.95) return number.toFixed(1);
  return Math.round(number).toLocaleString('en-US');
}

function bytes(value: Json | undefined): string {
  const number = Number(value ?? 0);
  if (number >= 1e6) return `${(number / 1e6).toFixed(1)} MB`;
  return number >= 1e3 ? `${(number / 1e3).toFixed(1)} kB` : `${Math.round(number)} B`;
}

/** Cut with an ellipsis, or filled up. */
function fit(text: string, width: number, fill = false): string {
  const characters = [...text];
  if (characters.length > width) return `${characters.slice(0, width - 1).join('')}…`;
  return fill ? text + ' '.repeat(width - characters.length) : text;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(/ (?!%)/)) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + word.length <= width) {
      lines[lines.length - 1] = `${line} ${word}`;
    } else {
      lines.push(fit(word, width));
    }
  }
  return lines;
}

function list(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : [];
}

function objects(value: Json | undefined): JsonObject[] {
  return list(value).filter(isJsonObject);
}
