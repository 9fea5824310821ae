import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Queryable } from '../../db/database.ts';
import type { ChunkTrigger, WireReference } from '../log/chunk.ts';
import { collectionOf, idOf } from './load-recipients.ts';

/** Why runs that were paused must not go on. */
export type Stops = {
  readonly reason: (
    environmentId: number,
    trigger: ChunkTrigger,
    recipient: WireReference,
    /** Cancellations until then are accounted for. */
    afterMs?: number,
  ) => string | undefined;
};

type Resumed = { readonly environmentId: number; readonly trigger: ChunkTrigger };

type Cancellation = {
  readonly environment_id: number;
  readonly workflow_key: string;
  readonly cancellation_key: string;
  readonly collection: string | null;
  readonly recipient_id: string | null;
  readonly cancelled_at: Date;
};

/**
 * Cancellations and switched-off workflows that concern triggers whose runs resume. A cancellation stops
 * the runs accepted before it, not those of a later trigger with the same key.
 */
export async function loadStops(db: Queryable, resumed: readonly Resumed[]): Promise<Stops> {
  const inactive = await inactiveWorkflows(db, resumed);
  const keyed = resumed.filter((entry) => entry.trigger.cancel !== null);
  const byKey = new Map<string, Cancellation[]>();
  if (keyed.length > 0) {
    const rows = await db.query<Cancellation>(
      `select distinct c.environment_id, c.workflow_key, c.cancellation_key, c.collection, c.recipient_id,
              c.cancelled_at
       from unnest($1::int[], $2::text[], $3::text[]) as k(environment_id, workflow_key, cancellation_key)
       join cancellation c using (environment_id, workflow_key, cancellation_key)`,
      [
        plainArray(keyed.map((entry) => entry.environmentId)),
        textArray(keyed.map((entry) => entry.trigger.key)),
        textArray(keyed.map((entry) => entry.trigger.cancel)),
      ],
    );
    for (const row of rows) {
      const key = keyOf(row.environment_id, row.workflow_key, row.cancellation_key);
      byKey.set(key, [...(byKey.get(key) ?? []), row]);
    }
  }
  return {
    reason: (environmentId, trigger, recipient, afterMs = Number.NEGATIVE_INFINITY) => {
      if (inactive.has(workflowOf(environmentId, trigger.key))) return 'workflow_inactive';
      if (trigger.cancel === null) return undefined;
      const cancellations = byKey.get(keyOf(environmentId, trigger.key, trigger.cancel)) ?? [];
      const hit = cancellations.some(
        (row) =>
          row.cancelled_at.getTime() >= trigger.at &&
          row.cancelled_at.getTime() > afterMs &&
          (row.recipient_id === null ||
            (row.recipient_id === idOf(recipient) && row.collection === collectionOf(recipient))),
      );
      return hit ? 'cancelled' : undefined;
    },
  };
}

async function inactiveWorkflows(
  db: Queryable,
  resumed: readonly Resumed[],
): Promise<ReadonlySet<string>> {
  const rows = await db.query<{ environment_id: number; key: string }>(
    `select distinct w.environment_id, w.key
     from unnest($1::int[], $2::text[]) as r(environment_id, key)
     join workflow w using (environment_id, key)
     where not w.active`,
    [
      plainArray(resumed.map((entry) => entry.environmentId)),
      textArray(resumed.map((entry) => entry.trigger.key)),
    ],
  );
  return new Set(rows.map((row) => workflowOf(row.environment_id, row.key)));
}

function workflowOf(environmentId: number, key: string): string {
  return `${environmentId} ${key}`;
}

function keyOf(environmentId: number, workflowKey: string, cancellationKey: string): string {
  return JSON.stringify([environmentId, workflowKey, cancellationKey]);
}
