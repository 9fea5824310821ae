import type { Queryable } from '../db/database.ts';
import { formatAddress, WORKFLOW_RUN_PART } from '../lib/address.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { TriggerRequest } from './engine.ts';
import { BULK, type ChunkRef, laneOf, type NewChunk, RUNS } from './log/chunk.ts';
import { flowOfTenant } from './log/flow.ts';
import {
  CHUNK_PARAMETERS,
  chunkRefs,
  chunkValues,
  insertChunksSql,
  placeChunks,
} from './log/insert-chunks.ts';
import {
  type IsCrowded,
  layOutTriggers,
  type SerialisedTrigger,
  triggerText,
} from './log/layout.ts';
import { openStream } from './log/stream.ts';

/** Runs of one workflow that become one chunk: 1 to 500 users, each with a tenant or none. */
export type BulkChunk = {
  readonly trigger: Omit<TriggerRequest, 'recipients' | 'tenant' | 'idempotency'>;
  /** `trigger.data` as JSON, so that chunks share the work. */
  readonly dataText: string;
  readonly runs: readonly BulkRun[];
};

/** A trigger of any workflow, with its data as JSON. */
export type BulkTrigger = SerialisedTrigger;

export type BulkRun = { readonly userId: string; readonly tenant: string | null };

/** Where a chunk lies in the log. With the index of a run it is the address of that run. */
export type BulkPlace = {
  readonly slot: number;
  readonly stream: number;
  readonly sequence: number;
  readonly acceptedMs: number;
};

/**
 * What is written with the chunks: CTEs, parameters numbered from `first`, one of them named `claim`. The
 * chunks are inserted when `claim` has a row.
 */
export type BulkClaim = {
  /** Of the prepared statement. */
  readonly name: string;
  readonly sql: (first: number) => string;
  readonly values: (places: readonly BulkPlace[]) => readonly unknown[];
  /** Where a test may stop the process after the commit. */
  readonly appended: () => void;
};

export type BulkStream = {
  /** For whatever belongs to the appending; no other part uses it. */
  readonly session: Queryable;
  /** Resolves when the session is over. */
  readonly ended: Promise<void>;
  /**
   * One statement: the claim and all chunks, or nothing and undefined. When it rejects without an error
   * of the database, the outcome is unknown and the claim's rows tell.
   */
  readonly append: (
    chunks: readonly BulkChunk[],
    claim: BulkClaim,
  ) => Promise<readonly BulkPlace[] | undefined>;
  /** The same for triggers of many workflows and environments, which share chunks as triggers of the API do. */
  readonly appendTriggers: (
    triggers: readonly BulkTrigger[],
    claim: BulkClaim,
  ) => Promise<readonly BulkPlace[] | undefined>;
  /** The same for chunks that are laid out already. */
  readonly appendChunks: (
    chunks: readonly NewChunk[],
    claim: BulkClaim,
  ) => Promise<readonly BulkPlace[] | undefined>;
  readonly close: () => Promise<void>;
};

export type BulkStreamOptions = {
  readonly url: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly isCrowded: IsCrowded;
  /** Called after the commit. */
  readonly onAppended: (refs: readonly ChunkRef[]) => void;
};

/** A session that appends to the bulk lanes. Throws when the database is away. */
export async function openBulkStream(options: BulkStreamOptions): Promise<BulkStream> {
  const stream = await openStream({ ...options, applicationName: 'belfry bulk' });
  const { session } = stream;

  async function insert(
    chunks: readonly NewChunk[],
    claim: BulkClaim,
    nowMs: number,
  ): Promise<readonly BulkPlace[] | undefined> {
    const placed = placeChunks(chunks, stream.nextSequence, nowMs);
    const places = placed.map(({ slot, sequence }) => ({
      slot,
      stream: stream.number,
      sequence,
      acceptedMs: nowMs,
    }));
    const inserted = await session.query(
      {
        name: claim.name,
        text: `with ${claim.sql(CHUNK_PARAMETERS + 1)}
                 ${insertChunksSql(1)}
                 where exists (select from claim)
                 returning 1`,
      },
      [
        ...chunkValues(stream.number, new Date(nowMs).toISOString(), placed),
        ...claim.values(places),
      ],
    );
    if (inserted.length === 0) return undefined;
    claim.appended();
    stream.nextSequence += placed.length;
    options.onAppended(chunkRefs(placed, stream.number));
    return places;
  }

  return {
    session,
    ended: session.ended,
    append: async (chunks, claim) => {
      const nowMs = options.clock.now();
      const { number, nextSequence } = stream;
      const laidOut = chunks.map((chunk, i) => layOutBulk(chunk, number, nextSequence + i, nowMs));
      return insert(laidOut, claim, nowMs);
    },
    appendTriggers: async (triggers, claim) => {
      const nowMs = options.clock.now();
      const { number, nextSequence } = stream;
      const { isCrowded } = options;
      const laidOut = layOutTriggers(triggers, number, nextSequence, nowMs, isCrowded, BULK);
      return insert(laidOut.chunks, claim, nowMs);
    },
    appendChunks: (chunks, claim) => insert(chunks, claim, options.clock.now()),
    close: session.close,
  };
}

/** One trigger a tenant; all runs of the chunk that have it share its workflow run, and all triggers the data. */
function layOutBulk(chunk: BulkChunk, stream: number, sequence: number, nowMs: number): NewChunk {
  const positions = new Map<string | null, number>();
  const triggers: string[] = [];
  const runs = chunk.runs.map(({ userId, tenant }, index) => {
    let position = positions.get(tenant);
    if (position === undefined) {
      const id = formatAddress(nowMs, stream, sequence, index, WORKFLOW_RUN_PART);
      position =
        triggers.push(
          triggerText(
            { ...chunk.trigger, tenant },
            triggers.length === 0 ? chunk.dataText : 0,
            id,
            nowMs,
          ),
        ) - 1;
      positions.set(tenant, position);
    }
    return `[${position},${JSON.stringify(userId)}]`;
  });
  const [tenant = null, ...others] = positions.keys();
  return {
    // A chunk of several tenants is nobody's turn.
    flow: others.length > 0 ? 0 : flowOfTenant(tenant),
    laneId: laneOf(chunk.trigger.environmentId, BULK),
    kind: RUNS,
    runCount: runs.length,
    dueMs: undefined,
    body: `{"triggers":[${triggers.join(',')}],"runs":[${runs.join(',')}]}`,
  };
}
