import { isJsonObject } from '../lib/json.ts';
import { mailMark } from './cast.ts';
import type { LoadSummary, SampleRow } from './load/protocol.ts';
import type { Stage } from './stage.ts';
import { percentile, rounded } from './statistics.ts';
import type { Window } from './store-faults.ts';
import { waitMs } from './wall-clock.ts';

const SEED = 3;
const PHASE = 'mails';
const READ_AT_ONCE = 50;
const TRIES = 20;
const TRY_AGAIN_MS = 500;
/** A mail is late from so much on, however fast those before it were. */
const LEAST_LATE_MS = 1_000;
/** And from so many times the slowest mail of a time without faults on. */
const LATE_FACTOR = 2;

/** The neighbour who sends e-mails with large bodies; undefined without one. The returned function ends it. */
export function beginMails(stage: Stage): (() => Promise<LoadSummary>) | undefined {
  const { mails, plan } = stage;
  if (!mails) return undefined;
  const phase = { name: PHASE, perSecond: plan.mailsPerSecond, runs: 1, seconds: undefined };
  const running = mails.run({ ...phase, seed: SEED });
  // Its failure is that of whoever ends it.
  running.catch(() => {});
  return () => {
    mails.stop();
    return running;
  };
}

export type MailTimes = {
  readonly mails: number;
  readonly p50_ms: number | null;
  readonly p99_ms: number | null;
  readonly max_ms: number | null;
};

export type MailReport = {
  readonly sent: number;
  /** Acknowledged, and not at the mail server when everything was done. */
  readonly undelivered: number;
  /** At the mail server more than once. */
  readonly repeated: number;
  /** While nothing was wrong with a store: in calm, and in the first third of the flood. */
  readonly without_faults: MailTimes;
  readonly throttled: MailTimes;
  /** A mail that takes longer is late. */
  readonly late_from_ms: number;
  /** Of those that were due while the object store was throttled. */
  readonly late: number;
};

/** When mails reached the mail server, from when their triggers were due. */
export async function reportMails(
  stage: Stage,
  rows: readonly SampleRow[],
  windows: { readonly withoutFaults: readonly Window[]; readonly throttled: Window },
): Promise<MailReport> {
  const arrivals = (await stage.stores?.mail?.arrivals()) ?? [];
  const first = new Map<number, number>();
  for (const { number, atMs } of arrivals) if (!first.has(number)) first.set(number, atMs);
  const latencyOf = (row: SampleRow, number: number): number =>
    (first.get(number) ?? Number.POSITIVE_INFINITY) - row[2];
  const latencies = (some: readonly Window[]): number[] =>
    rows.flatMap((row, number) =>
      row[9] !== null && some.some(({ fromMs, untilMs }) => row[2] >= fromMs && row[2] < untilMs)
        ? [latencyOf(row, number)]
        : [],
    );
  const before = latencies(windows.withoutFaults);
  const during = latencies([windows.throttled]);
  const lateFromMs = Math.max(LEAST_LATE_MS, LATE_FACTOR * Math.max(0, ...before));
  return {
    sent: rows.length,
    undelivered: rows.filter((row, number) => row[9] !== null && !first.has(number)).length,
    repeated: arrivals.length - first.size,
    without_faults: timesOf(before),
    throttled: timesOf(during),
    late_from_ms: rounded(lateFromMs),
    late: during.filter((latencyMs) => latencyMs > lateFromMs).length,
  };
}

function timesOf(latencies: readonly number[]): MailTimes {
  const at = (share: number): number | null => {
    const ms = rounded(percentile(latencies, share));
    return Number.isFinite(ms) ? ms : null;
  };
  return { mails: latencies.length, p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1) };
}

/** How many of the acknowledged mails say anything but what they said, when they are read over the API. */
export async function countUnreadable(stage: Stage, rows: readonly SampleRow[]): Promise<number> {
  const acknowledged = rows.flatMap((row, number) =>
    row[9] === null ? [] : [{ runId: row[9], number }],
  );
  let unreadable = 0;
  for (let start = 0; start < acknowledged.length; start += READ_AT_ONCE) {
    const some = acknowledged.slice(start, start + READ_AT_ONCE);
    unreadable += await unreadableOf(stage, new Map(some.map((mail) => [mail.runId, mail.number])));
  }
  return unreadable;
}

/** `numbers`: of triggers, by the ids of their runs. */
async function unreadableOf(stage: Stage, numbers: ReadonlyMap<string, number>): Promise<number> {
  const { server, operator, cast } = stage;
  const messages = await server.db.query<{ readonly id: string; readonly run: string }>(
    `select id, workflow_run_id as run
     from message
     where workflow_run_id = any($1::uuid[])`,
    [[...numbers.keys()]],
  );
  const query = messages.map(({ id }) => `message_ids[]=${id}`).join('&');
  const runOf = new Map(messages.map(({ id, run }) => [id, run]));
  for (let tried = 1; ; tried++) {
    const { status, text } = await operator.call(
      cast.mailer?.secretKey ?? '',
      'GET',
      `/v1/messages/batch/content?${query}`,
    );
    if (status === 200)
      return numbers.size - countWhole(text, (id) => numbers.get(runOf.get(id) ?? ''));
    // A store that was throttled a moment ago may still be asked with care.
    if (tried === TRIES) return numbers.size;
    await waitMs(TRY_AGAIN_MS);
  }
}

function countWhole(text: string, numberOf: (messageId: string) => number | undefined): number {
  const contents: unknown = JSON.parse(text);
  if (!Array.isArray(contents)) return 0;
  return contents.filter((content) => {
    if (!isJsonObject(content)) return false;
    const number = numberOf(String(content.message_id));
    return number !== undefined && JSON.stringify(content).includes(mailMark(number));
  }).length;
}
