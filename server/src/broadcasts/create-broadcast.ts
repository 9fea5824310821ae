import type { EnvironmentContext } from '../context.ts';
import { sqlState } from '../db/database.ts';
import type { RecipientReference } from '../engine/engine.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import type { JsonObject } from '../lib/json.ts';
import { isUuid, timeOrderedUuid } from '../lib/uuid.ts';
import { parseId } from '../recipients/reference.ts';
import { getAudience } from './audience.ts';
import {
  BROADCAST_COLUMNS,
  type Broadcast,
  getBroadcast,
  type Sending,
  type Source,
  UNFINISHED,
} from './broadcast.ts';

const MAX_UNFINISHED = 50;
const DATA_CHARACTERS = 256 * 1024;
export const DEFAULT_FAILED_SHARE = 0.05;

export type NewBroadcast = {
  /** The caller's own name for it, so that asking twice makes one. */
  readonly key?: string | undefined;
  readonly workflowKey: string;
  readonly versionId: number;
  /** Key of the audience; absent for all users. */
  readonly audience?: string | undefined;
  readonly actor: RecipientReference | null;
  readonly tenant: string | null;
  readonly data: JsonObject;
  readonly settings: Sending['settings'];
  readonly apiKeyId?: number | undefined;
  /** Recipients per second. */
  readonly rate?: number | undefined;
  /** Absent: 1 %, at most 100. */
  readonly canarySize?: number | undefined;
  /** Share of the canary, 0 to 1, that may fail. */
  readonly canaryFailedShare?: number | undefined;
  /** False: it waits for `resume` when it is frozen. */
  readonly starts: boolean;
};

/**
 * Makes a broadcast, which starts to freeze its audience at once. 409 for a key that is taken, 404 for an
 * unknown audience, 422 for more than 50 unfinished ones or too much data.
 */
export async function createBroadcast(
  ctx: EnvironmentContext,
  input: NewBroadcast,
): Promise<Broadcast> {
  const source = await audienceSource(ctx, input.audience);
  return await insertBroadcast(ctx, { ...input, source });
}

/** A broadcast of the same to those whose run failed in an earlier one, which must have ended. */
export async function retryFailed(
  ctx: EnvironmentContext,
  input: { readonly id: string; readonly key?: string | undefined; readonly apiKeyId?: number },
): Promise<Broadcast> {
  const failed = await getBroadcast(ctx, input);
  if (failed.state !== 'finished' && failed.state !== 'cancelled') {
    throw new BelfryError(
      'conflict',
      `The broadcast ${failed.public_id} is ${failed.state}; what failed can be tried again when it is finished or cancelled`,
    );
  }
  const [sending] = await ctx.db.query<Sending>(
    `select version_id, actor, data, settings, api_key_id
     from broadcast
     where id = $1`,
    [failed.id],
  );
  if (!sending) throw new Error(`the broadcast ${failed.id} is gone`);
  return await insertBroadcast(ctx, {
    key: input.key,
    workflowKey: failed.workflow_key,
    versionId: sending.version_id,
    actor: sending.actor,
    tenant: failed.tenant,
    data: sending.data,
    settings: sending.settings,
    apiKeyId: input.apiKeyId,
    rate: failed.rate ?? undefined,
    canaryFailedShare: failed.canary_failed_share,
    starts: true,
    source: { kind: 'failed', broadcast_id: failed.id, broadcast: failed.public_id },
  });
}

async function audienceSource(ctx: EnvironmentContext, key: string | undefined): Promise<Source> {
  if (key === undefined) return { kind: 'all_users', audience: null };
  const audience = await getAudience(ctx, key);
  switch (audience.kind) {
    case 'static':
      return { kind: 'static', audience: key, audience_id: audience.id };
    case 'all_users':
      return { kind: 'all_users', audience: key };
    case 'condition':
      return { kind: 'condition', audience: key, conditions: audience.conditions ?? {} };
  }
}

async function insertBroadcast(
  ctx: EnvironmentContext,
  input: Omit<NewBroadcast, 'audience'> & { readonly source: Source },
): Promise<Broadcast> {
  const data = JSON.stringify(input.data);
  if (data.length > DATA_CHARACTERS) {
    throw invalidField(
      'data',
      `must have at most ${DATA_CHARACTERS} characters as JSON, not ${data.length}: it is written once for every 500 recipients`,
    );
  }
  const nowMs = ctx.clock.now();
  try {
    const [row] = await ctx.db.query<Broadcast>(
      `with source as materialized (${lockedSource(input.source.kind)})
       insert into broadcast as b
         (public_id, environment_id, key, workflow_key, version_id, source, actor, tenant, data, settings,
          api_key_id, state, rate, canary_size, canary_failed_share, canary_state, starts, created_at, changed_at)
       select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'freezing', $12, $13, $14, 'open', $15, $16, $16
       from source
       where (
         select count(*)
         from broadcast b
         where b.environment_id = $2
           and ${UNFINISHED}
       ) < ${MAX_UNFINISHED}
       returning ${BROADCAST_COLUMNS}`,
      [
        timeOrderedUuid(nowMs),
        ctx.environment.id,
        parseKey(input.key),
        input.workflowKey,
        input.versionId,
        JSON.stringify(input.source),
        input.actor === null ? null : JSON.stringify(input.actor),
        input.tenant,
        data,
        JSON.stringify(input.settings),
        input.apiKeyId ?? null,
        input.rate ?? null,
        input.canarySize ?? null,
        input.canaryFailedShare ?? DEFAULT_FAILED_SHARE,
        input.starts,
        new Date(nowMs),
        sourceId(input.source),
      ],
    );
    if (row) return row;
    await expectSource(ctx, input.source);
  } catch (error) {
    if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
    throw new BelfryError(
      'conflict',
      `There is a broadcast with the key ${JSON.stringify(input.key)} already; see GET /v1/broadcasts/${encodeURIComponent(input.key ?? '')}`,
    );
  }
  throw new BelfryError(
    'conflict',
    `The environment has ${MAX_UNFINISHED} unfinished broadcasts, which is the limit; cancel one, or wait until one is finished`,
  );
}

/** What the audience is read from while it is being frozen, locked so that it is not deleted before that is known. */
function lockedSource(kind: Source['kind']): string {
  switch (kind) {
    case 'static':
      return 'select from audience where id = $17 for key share';
    case 'failed':
      return 'select from broadcast where id = $17 for key share';
    case 'all_users':
    case 'condition':
      return 'select where $17::int is null';
  }
}

function sourceId(source: Source): number | null {
  if (source.kind === 'static') return source.audience_id;
  return source.kind === 'failed' ? source.broadcast_id : null;
}

/** 404 when it was deleted or forgotten just now. */
async function expectSource(ctx: EnvironmentContext, source: Source): Promise<void> {
  if (source.kind === 'static') await getAudience(ctx, source.audience);
  if (source.kind === 'failed') await getBroadcast(ctx, { id: source.broadcast });
}

function parseKey(value: string | undefined): string | null {
  if (value === undefined) return null;
  const key = parseId(value, 'key');
  if (isUuid(key)) throw invalidField('key', 'must not be a UUID: those are our ids');
  return key;
}

const UNIQUE_VIOLATION = '23505';
