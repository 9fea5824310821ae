import { isJsonObject } from '../lib/json.ts';
import { ksuidFromUuid } from '../lib/ksuid.ts';
import { mailBody } from './cast.ts';
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
/** And from so many times what all but one in a thousand took in a time without faults; the slowest may be an accident. */
const LATE_FACTOR = 2;
const ALMOST_ALL = 0.999;

/** The neighbours who send e-mails with large bodies; undefined without them. The returned function ends it. */
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
  /** Attempts that the mail server did not take, by their code. */
  readonly failed_attempts: Readonly<Record<string, number>>;
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
  const lateMs = lateFromMs(before);
  return {
    sent: rows.length,
    undelivered: rows.filter((row, number) => row[9] !== null && !first.has(number)).length,
    repeated: arrivals.length - first.size,
    failed_attempts: await failedAttempts(stage),
    without_faults: timesOf(before),
    throttled: timesOf(during),
    late_from_ms: rounded(lateMs),
    late: during.filter((latencyMs) => latencyMs > lateMs).length,
  };
}

/** From how many milliseconds on a mail is late, by what others took in a time without faults (infinite: it never came). */
export function lateFromMs(latencies: readonly number[]): number {
  const arrived = latencies.filter(Number.isFinite);
  const usualMs = arrived.length === 0 ? 0 : percentile(arrived, ALMOST_ALL);
  return Math.max(LEAST_LATE_MS, LATE_FACTOR * usualMs);
}

async function failedAttempts({ server, cast }: Stage): Promise<Record<string, number>> {
  const rows = await server.db.query<{ readonly code: string; readonly attempts: number }>(
    `select d.detail ->> 'code' as code, count(*) as attempts
     from delivery d
     join message m on m.id = d.message_id
     where m.environment_id = any($1::int[])
       and d.detail ->> 'code' is not null
     group by 1`,
    [cast.mailers.map(({ environmentId }) => environmentId)],
  );
  return Object.fromEntries(rows.map(({ code, attempts }) => [code, attempts]));
}

function timesOf(latencies: readonly number[]): MailTimes {
  const at = (share: number): number | null => {
    const ms = rounded(percentile(latencies, share));
    return Number.isFinite(ms) ? ms : null;
  };
  return { mails: latencies.length, p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1) };
}

/** How many of the acknowledged mails do not say what they said, when they are read over the API. */
export async function countUnreadable(stage: Stage, rows: readonly SampleRow[]): Promise<number> {
  const acknowledged = rows.flatMap(([, caller, , , , , , , , runId], number) =>
    runId === null ? [] : [{ caller, runId, number }],
  );
  let unreadable = 0;
  for (const [caller, all] of Map.groupBy(acknowledged, (mail) => mail.caller)) {
    for (let start = 0; start < all.length; start += READ_AT_ONCE) {
      const some = all.slice(start, start + READ_AT_ONCE);
      const secretKey = stage.cast.mailers[caller]?.secretKey ?? '';
      const numbers = await readNumbers(
        stage,
        secretKey,
        some.map(({ runId }) => runId),
      );
      unreadable += some.filter(({ number }) => !numbers.has(number)).length;
    }
  }
  return unreadable;
}

/** The numbers of those mails of these runs that can be read and say what they said. */
async function readNumbers(
  { server, operator }: Stage,
  secretKey: string,
  runIds: readonly string[],
): Promise<ReadonlySet<number>> {
  const messages = await server.db.query<{ readonly id: string }>(
    `select id
     from message
     where workflow_run_id = any($1::uuid[])`,
    [runIds],
  );
  const query = messages.map(({ id }) => `message_ids[]=${ksuidFromUuid(id)}`).join('&');
  for (let tried = 1; ; tried++) {
    const path = `/v1/messages/batch/content?${query}`;
    const { status, text } = await operator.call(secretKey, 'GET', path);
    if (status === 200) return wholeNumbers(JSON.parse(text));
    // A store that was throttled a moment ago is asked with care.
    if (tried === TRIES) return new Set();
    await waitMs(TRY_AGAIN_MS);
  }
}

function wholeNumbers(contents: unknown): ReadonlySet<number> {
  const numbers = new Set<number>();
  if (!Array.isArray(contents)) return numbers;
  for (const content of contents) {
    const data = isJsonObject(content) && isJsonObject(content.data) ? content.data : {};
    const number = /#(\d+)$/.exec(String(data.subject_line))?.[1];
    if (number !== undefined && String(data.text_body).trim() === mailBody(number)) {
      numbers.add(Number(number));
    }
  }
  return numbers;
}
