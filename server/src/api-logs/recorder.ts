import { type Database, sqlState } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import { type Debt, NO_DEBT, repaid, waitMs } from '../lib/debt.ts';
import type { Logger } from '../lib/log.ts';
import { createLruCache } from '../lib/lru.ts';
import { keptBody, keptPath, TOO_LONG } from './redact.ts';

const FLUSH_MS = 500;
/** Rows of a statement. */
const BATCH = 1_000;
/** A longer answer is a list, and would be parsed for nothing. */
const MAX_ANSWER_CHARACTERS = 16_384;
const MAX_QUEUED = 4_000;
const MAX_QUEUED_CHARACTERS = 16_000_000;
/** What an account may have recorded at once, in seconds of its rate. */
const BURST_SECONDS = 60;
const ACCOUNTS = 10_000;
const FAILED = 400;
const MINUTE_MS = 60_000;
/** Minutes of environments that are counted while the database is away. */
const MAX_SKIPPED = 10_000;

/** A request that was answered. */
export type AnsweredRequest = {
  /** A UUID with the time of its arrival in it. */
  readonly id: string;
  readonly accountId: number;
  readonly environmentId: number;
  readonly keyId: number;
  readonly method: string;
  /** As it is documented: `/v1/users/:user_id`. */
  readonly route: string;
  /** As it was asked for, with its query. */
  readonly url: string;
  readonly status: number;
  readonly durationMs: number;
  readonly request: unknown;
  /** The text that was sent; absent when there was none, or it is no text. */
  readonly response: string | undefined;
};

export type RecorderStats = {
  readonly recorded: number;
  readonly skipped: number;
  readonly queued: number;
};

/** See README.md. */
export type Recorder = {
  /** Never throws and never waits. */
  readonly record: (answered: AnsweredRequest) => void;
  readonly stats: () => RecorderStats;
  /** Writes what is queued, as far as the database takes it. */
  readonly close: () => Promise<void>;
};

type Row = Omit<AnsweredRequest, 'accountId' | 'url' | 'request' | 'response'> & {
  readonly path: string;
  readonly request: string | null;
  readonly response: string | null;
};

/** Records the requests of accounts, `perSecond` of each at the most. */
export function createRecorder(options: {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly perSecond: number;
  /** While it answers false requests are counted, and not recorded. */
  readonly hasRoom?: () => boolean;
}): Recorder {
  const { db, clock, log, perSecond, hasRoom = () => true } = options;
  // After twice the burst's time nothing is owed any more.
  const good = createLruCache<Debt>(ACCOUNTS, 2 * BURST_SECONDS * 1_000);
  const failed = createLruCache<Debt>(ACCOUNTS, 2 * BURST_SECONDS * 1_000);
  const skippedByMinute = new Map<string, number>();
  const stats = { recorded: 0, skipped: 0 };
  let queue: Row[] = [];
  let queuedCharacters = 0;
  let isAway = false;
  let flushing = Promise.resolve();

  function mayRecord({ accountId, status }: AnsweredRequest, nowMs: number): boolean {
    if (!hasRoom() || queue.length >= MAX_QUEUED || queuedCharacters >= MAX_QUEUED_CHARACTERS)
      return false;
    const debts = status < FAILED ? good : failed;
    const account = String(accountId);
    const debt = repaid(debts.get(account, nowMs) ?? NO_DEBT, perSecond, nowMs);
    if (waitMs(debt, perSecond, perSecond * BURST_SECONDS, 1) > 0) return false;
    debts.set(account, { ...debt, owed: debt.owed + 1 }, nowMs);
    return true;
  }

  function skip(environmentId: number, nowMs: number): void {
    stats.skipped += 1;
    const minute = `${environmentId} ${nowMs - (nowMs % MINUTE_MS)}`;
    const before = skippedByMinute.get(minute);
    if (before === undefined && skippedByMinute.size >= MAX_SKIPPED) return;
    skippedByMinute.set(minute, (before ?? 0) + 1);
  }

  function enqueue(answered: AnsweredRequest): void {
    const { url, request, response, accountId: _, ...rest } = answered;
    const row: Row = {
      ...rest,
      path: keptPath(url),
      request: keptBody(request) ?? null,
      response: keptAnswer(response),
    };
    queuedCharacters += sizeOf(row);
    queue.push(row);
  }

  async function flush(): Promise<void> {
    while (queue.length > 0 || skippedByMinute.size > 0) {
      const rows = queue.slice(0, BATCH);
      const skipped = [...skippedByMinute];
      try {
        await write(db, rows, skipped);
        stats.recorded += rows.length;
      } catch (error) {
        if (!isRefusal(error)) throw error;
        // It would be refused for ever, and everything behind it would wait.
        log.warn(
          { err: error, entries: rows.length },
          'API logs are left out: the database refuses them',
        );
        stats.skipped += rows.length;
      }
      queue = queue.slice(rows.length);
      for (const row of rows) queuedCharacters -= sizeOf(row);
      // What was skipped during the statement is counted on.
      for (const [minute, written] of skipped) {
        const count = (skippedByMinute.get(minute) ?? 0) - written;
        if (count > 0) skippedByMinute.set(minute, count);
        else skippedByMinute.delete(minute);
      }
    }
  }

  function tryFlush(): Promise<void> {
    return flush().then(
      () => {
        if (isAway) log.info('API logs are written again');
        isAway = false;
      },
      (error: unknown) => {
        if (!isAway) log.warn({ err: error }, 'API logs cannot be written; they are kept for now');
        isAway = true;
      },
    );
  }

  let isFlushing = false;
  const timer = setInterval(() => {
    if (isFlushing) return;
    isFlushing = true;
    flushing = tryFlush().finally(() => {
      isFlushing = false;
    });
  }, FLUSH_MS);
  timer.unref();

  return {
    record: (answered) => {
      const nowMs = clock.now();
      if (mayRecord(answered, nowMs)) enqueue(answered);
      else skip(answered.environmentId, nowMs);
    },
    stats: () => ({ ...stats, queued: queue.length }),
    close: async () => {
      clearInterval(timer);
      await flushing;
      await tryFlush();
    },
  };
}

/** Data exceptions and broken constraints, such as a time for which there is no partition. */
function isRefusal(error: unknown): boolean {
  return /^2[23]/.test(sqlState(error) ?? '');
}

function sizeOf({ path, request, response }: Row): number {
  return path.length + (request?.length ?? 0) + (response?.length ?? 0);
}

function keptAnswer(text: string | undefined): string | null {
  if (text === undefined) return null;
  if (text.length > MAX_ANSWER_CHARACTERS) return TOO_LONG;
  try {
    return keptBody(JSON.parse(text)) ?? null;
  } catch {
    return null;
  }
}

async function write(
  db: Database,
  rows: readonly Row[],
  skipped: readonly (readonly [minute: string, requests: number])[],
): Promise<void> {
  const minutes = skipped.map(([minute]) => minute.split(' ').map(Number));
  // A batch whose answer was lost is written again: the rows are there already, and the counts of it are counted twice.
  await db.query(
    `
    with skipped as (
      insert into api_log_skipped (environment_id, minute, requests)
      select environment_id, minute, requests
      from unnest($11::int[], $12::timestamptz[], $13::int[]) as s (environment_id, minute, requests)
      on conflict (environment_id, minute) do update
      set requests = api_log_skipped.requests + excluded.requests
    )
    insert into api_log (
      id, environment_id, api_key_id, method, route, path, status, duration_us, request, response
    )
    select id, environment_id, api_key_id, method, route, path, status, duration_us, request, response
    from unnest(
      $1::uuid[], $2::int[], $3::int[], $4::text[], $5::text[], $6::text[], $7::smallint[], $8::int[],
      $9::text[], $10::text[]
    ) as r (id, environment_id, api_key_id, method, route, path, status, duration_us, request, response)
    on conflict (id) do nothing`,
    [
      rows.map(({ id }) => id),
      rows.map(({ environmentId }) => environmentId),
      rows.map(({ keyId }) => keyId),
      rows.map(({ method }) => method),
      rows.map(({ route }) => route),
      rows.map(({ path }) => path),
      rows.map(({ status }) => status),
      rows.map(({ durationMs }) => Math.round(durationMs * 1_000)),
      rows.map(({ request }) => request),
      rows.map(({ response }) => response),
      minutes.map(([environmentId]) => environmentId),
      minutes.map(([, minuteMs]) => new Date(minuteMs ?? 0)),
      skipped.map(([, requests]) => requests),
    ],
  );
}
