import type { Context } from '../../context.ts';
import { isJsonObject } from '../../lib/json.ts';
import { timeOrderedUuid } from '../../lib/uuid.ts';
import type { Because } from './decide.ts';
import type { Evidence } from './evidence.ts';
import type { Level } from './levels.ts';

/** A change of level, with what was seen. */
export type QuarantineEvent = {
  readonly id: string;
  readonly at: string;
  readonly account: { readonly id: number; readonly name: string | null };
  readonly from: Level;
  readonly to: Level;
  readonly because: Because | 'set by hand' | 'hand lifted';
  /** Decided and written down, but not done. */
  readonly shadow: boolean;
  readonly author: string | null;
  readonly reason: string | null;
  /** When a level set by hand ends. */
  readonly until: string | null;
  readonly evidence: Evidence | null;
  readonly line: string;
};

export type EventLog = {
  readonly add: (event: Omit<QuarantineEvent, 'id'>) => void;
  /** The newest first. */
  readonly latest: (limit: number) => readonly QuarantineEvent[];
  /** Writes what is not written yet; what cannot be written stays for the next time. */
  readonly flush: () => Promise<boolean>;
  /** Reads what an earlier process wrote; levels by hand that still hold among them. */
  readonly recall: () => Promise<readonly QuarantineEvent[]>;
};

const KEPT = 200;
const MAX_UNWRITTEN = 1_000;
/** A level by hand lasts no longer, so none that holds is older. */
export const MAX_HAND_MS = 7 * 86_400_000;

/** Events in memory, and in the table `quarantine_event` as far as the database takes them. */
export function createEventLog(ctx: Context): EventLog {
  let kept: QuarantineEvent[] = [];
  let unwritten: QuarantineEvent[] = [];
  let lost = 0;
  let writing: Promise<boolean> | undefined;

  const write = async (): Promise<boolean> => {
    const batch = unwritten;
    try {
      await ctx.db.query(INSERT, [JSON.stringify(batch)]);
      const written = new Set(batch);
      unwritten = unwritten.filter((event) => !written.has(event));
      if (lost > 0) ctx.log.warn({ lost }, 'events of the quarantine were lost: too many to keep');
      lost = 0;
      return unwritten.length === 0;
    } catch (error) {
      ctx.log.debug({ err: error }, 'events of the quarantine cannot be written yet');
      return false;
    }
  };

  return {
    add: (event) => {
      const whole = { ...event, id: timeOrderedUuid(Date.parse(event.at)) };
      kept = [whole, ...kept].slice(0, KEPT);
      unwritten.push(whole);
      if (unwritten.length > MAX_UNWRITTEN) {
        unwritten.shift();
        lost += 1;
      }
    },
    latest: (limit) => kept.slice(0, limit),
    flush: async () => {
      // What is being written does not hold what came since.
      await writing;
      if (unwritten.length === 0) return true;
      writing ??= write().finally(() => {
        writing = undefined;
      });
      return writing;
    },
    recall: async () => {
      const from = new Date(ctx.clock.now() - MAX_HAND_MS).toISOString();
      const latest = await ctx.db.query<Row>(LATEST, [KEPT]);
      const known = new Set(kept.map(({ id }) => id));
      const old = latest.map(eventOf).filter(({ id }) => !known.has(id));
      kept = [...kept, ...old].slice(0, KEPT);
      return (await ctx.db.query<Row>(BY_HAND, [from])).map(eventOf);
    },
  };
}

const COLUMNS = `id, at, account_id, account_name, from_level, to_level, because, shadow, author, reason,
  until, evidence, line`;

// An insert whose answer was lost is repeated.
const INSERT = `
  insert into quarantine_event (${COLUMNS})
  select (e->>'id')::uuid, (e->>'at')::timestamptz, (e->'account'->>'id')::int, e->'account'->>'name',
         e->>'from', e->>'to', e->>'because', (e->>'shadow')::boolean, e->>'author', e->>'reason',
         (e->>'until')::timestamptz, nullif(e->'evidence', 'null'::jsonb), e->>'line'
  from jsonb_array_elements($1::jsonb) as e
  on conflict do nothing`;

const LATEST = `
  select ${COLUMNS}
  from quarantine_event
  order by id desc
  limit $1`;

const BY_HAND = `
  select distinct on (account_id) ${COLUMNS}
  from quarantine_event
  where author is not null
    and at > $1
  order by account_id, id desc`;

type Row = {
  readonly id: string;
  readonly at: Date;
  readonly account_id: number;
  readonly account_name: string | null;
  readonly from_level: Level;
  readonly to_level: Level;
  readonly because: QuarantineEvent['because'];
  readonly shadow: boolean;
  readonly author: string | null;
  readonly reason: string | null;
  readonly until: Date | null;
  readonly evidence: Evidence | null;
  readonly line: string;
};

function eventOf(row: Row): QuarantineEvent {
  return {
    id: row.id,
    at: row.at.toISOString(),
    account: { id: row.account_id, name: row.account_name },
    from: row.from_level,
    to: row.to_level,
    because: row.because,
    shadow: row.shadow,
    author: row.author,
    reason: row.reason,
    until: row.until?.toISOString() ?? null,
    evidence: isJsonObject(row.evidence) ? row.evidence : null,
    line: row.line,
  };
}
