import type { EnvironmentContext } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import type { RecipientReference } from '../engine/engine.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import type { JsonObject } from '../lib/json.ts';
import { isUuid } from '../lib/uuid.ts';
import { type Page, type PageRequest, pageOf } from '../recipients/page.ts';

export type BroadcastState =
  | 'freezing'
  | 'canary'
  | 'running'
  | 'paused'
  | 'cancelling'
  | 'cancelled'
  | 'finished';

/** Whom a broadcast goes to, as it was when it was created. */
export type Source =
  | { readonly kind: 'static'; readonly audience: string; readonly audience_id: number }
  | { readonly kind: 'all_users'; readonly audience: string | null }
  | { readonly kind: 'condition'; readonly audience: string; readonly conditions: JsonObject }
  /** Those whose run failed. */
  | { readonly kind: 'failed'; readonly broadcast_id: number; readonly broadcast: string };

/** A row of `broadcast` without what is only needed for sending. */
export type Broadcast = {
  readonly id: number;
  readonly public_id: string;
  readonly environment_id: number;
  readonly key: string | null;
  readonly workflow_key: string;
  readonly source: Source;
  readonly tenant: string | null;
  readonly state: BroadcastState;
  readonly reason: string | null;
  readonly rate: number | null;
  readonly canary_size: number | null;
  readonly canary_failed_share: number;
  readonly canary_state: 'open' | 'passed' | 'failed';
  readonly starts: boolean;
  readonly total: number | null;
  readonly created_at: Date;
  readonly changed_at: Date;
};

/** What is sent, the same for all recipients. */
export type Sending = {
  readonly version_id: number;
  readonly actor: RecipientReference | null;
  readonly data: JsonObject;
  readonly settings: { readonly sandbox_mode?: boolean; readonly skip_delay?: boolean };
  readonly api_key_id: number | null;
};

export const BROADCAST_COLUMNS = `b.id, b.public_id, b.environment_id, b.key, b.workflow_key, b.source, b.tenant,
  b.state, b.reason, b.rate, b.canary_size, b.canary_failed_share, b.canary_state, b.starts, b.total,
  b.created_at, b.changed_at`;

export const UNFINISHED = `b.state not in ('cancelled', 'finished')`;

/** The broadcast by its id or key, or a 404. */
export async function getBroadcast(
  ctx: EnvironmentContext,
  input: { readonly id: string },
): Promise<Broadcast> {
  const [row] = await ctx.db.query<Broadcast>(
    `select ${BROADCAST_COLUMNS}
     from broadcast b
     where b.environment_id = $1
       and ${isUuid(input.id) ? 'b.public_id' : 'b.key'} = $2`,
    [ctx.environment.id, input.id],
  );
  if (row) return row;
  throw new BelfryError(
    'resource_missing',
    `There is no broadcast ${JSON.stringify(input.id.slice(0, 200))} in this environment`,
  );
}

/** Newest first, a page at a time. */
export async function listBroadcasts(
  ctx: EnvironmentContext,
  page: PageRequest,
): Promise<Page<Broadcast>> {
  const isBackward = page.before !== undefined;
  const rows = await ctx.db.query<Broadcast>(
    `select ${BROADCAST_COLUMNS}
     from broadcast b
     where b.environment_id = $1
       and ($2::uuid is null or b.public_id < $2)
       and ($3::uuid is null or b.public_id > $3)
     order by b.public_id ${isBackward ? 'asc' : 'desc'}
     limit $4`,
    [ctx.environment.id, cursor(page.after), cursor(page.before), page.size + 1],
  );
  return pageOf(page, rows, ({ public_id }) => public_id);
}

function cursor(key: string | undefined): string | null {
  if (key === undefined) return null;
  if (!isUuid(key)) throw invalidField('after', 'is not a cursor of an earlier answer');
  return key;
}

/** Moves a broadcast on from `from`; false when it is not there any more. */
export async function moveBroadcast(
  db: Queryable,
  input: {
    readonly id: number;
    readonly from: BroadcastState;
    readonly to: BroadcastState;
    readonly nowMs: number;
    readonly reason?: string;
    readonly canary?: 'passed' | 'failed';
  },
): Promise<boolean> {
  const rows = await db.query(
    `update broadcast
     set state = $3,
         changed_at = $4,
         reason = $5,
         canary_state = coalesce($6, canary_state)
     where id = $1
       and state = $2
     returning 1`,
    [
      input.id,
      input.from,
      input.to,
      new Date(input.nowMs),
      input.reason ?? null,
      input.canary ?? null,
    ],
  );
  return rows.length > 0;
}
