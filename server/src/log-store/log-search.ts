import type { Database } from '../db/database.ts';
import type { PageRequest } from '../feed/page.ts';
import type { Clock } from '../lib/clock.ts';
import { BelfryError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { createClickHouseLogStore, type NamedLogStore } from './clickhouse/clickhouse-log-store.ts';
import { failureOf } from './clickhouse/connect.ts';
import { readFreshness } from './freshness.ts';
import type { EventFilter, HourCount, LogEventPage, LogStore } from './log-store.ts';
import { createPostgresLogStore } from './postgres/postgres-log-store.ts';

const LAGGING_MS = 30_000;
/** A store that did not answer is not asked for so long. */
const AWAY_MS = 5_000;

/** An answer, and what it is about. */
export type Answered<Answer> = {
  readonly answer: Answer;
  /** Everything that was committed before is in it, in ms since 1970. */
  readonly dataAsOfMs: number;
  /** More than 30 s old. */
  readonly lagging: boolean;
  /** `live`: the tables of the server; no store is configured, or it is away or being filled for the first time. */
  readonly source: 'live' | 'log_store';
};

export type LogSearch = {
  /** `db` is where the account's statements run. */
  readonly searchEvents: (
    db: Database,
    filter: EventFilter,
    page: PageRequest,
  ) => Promise<Answered<LogEventPage>>;
  readonly countsPerHour: (
    db: Database,
    filter: EventFilter,
  ) => Promise<Answered<readonly HourCount[]>>;
  readonly close: () => Promise<void>;
};

/** Searches in the configured store, and in the live tables where there is none or it cannot answer. */
export function createLogSearch(options: {
  readonly url: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}): LogSearch {
  const { url, clock, log } = options;
  // Connected with the first search: the client is loaded where it is needed.
  let connected: Promise<NamedLogStore> | undefined;
  let awayUntilMs = 0;

  async function ask<Answer>(
    db: Database,
    environmentId: number,
    question: (store: LogStore) => Promise<Answer>,
  ): Promise<Answered<Answer>> {
    const nowMs = clock.now();
    if (url !== undefined && nowMs >= awayUntilMs) {
      const freshness = await readFreshness(db, environmentId);
      if (freshness && !freshness.isFilling) {
        const dataAsOfMs = freshness.dataAsOf.getTime();
        try {
          connected ??= createClickHouseLogStore(url);
          const store = await connected;
          const [answer, id] = await Promise.all([question(store), store.id()]);
          const lagging = nowMs - dataAsOfMs > LAGGING_MS;
          // Emptied, or another one since the shipper looked: that knows nothing yet.
          if (id === freshness.store) return { answer, dataAsOfMs, lagging, source: 'log_store' };
        } catch (error) {
          if (error instanceof BelfryError) throw error;
          awayUntilMs = clock.now() + AWAY_MS;
          log.warn(
            { failure: failureOf(error) },
            'the log store does not answer a search; the live tables do',
          );
        }
      }
    }
    const answer = await question(createPostgresLogStore(db));
    return { answer, dataAsOfMs: nowMs, lagging: false, source: 'live' };
  }

  return {
    searchEvents: (db, filter, page) =>
      ask(db, filter.environmentId, (store) => store.searchEvents(filter, page)),
    countsPerHour: (db, filter) =>
      ask(db, filter.environmentId, (store) => store.countsPerHour(filter)),
    close: async () => {
      await (await connected)?.close();
    },
  };
}
