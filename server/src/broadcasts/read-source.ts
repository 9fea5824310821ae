import type { Queryable } from '../db/database.ts';
import { BelfryError } from '../lib/errors.ts';
import type { JsonObject } from '../lib/json.ts';
import { USERS } from '../recipients/reference.ts';
import { compileConditions } from '../workflows/conditions.ts';
import { runScope } from '../workflows/scope.ts';
import type { Source } from './broadcast.ts';
import { outcomesOf } from './outcomes.ts';
import { pagesFrom, partsAfter } from './part.ts';

/** Somebody of the audience, and the position after them. */
export type Reached = {
  readonly userId: string;
  /** '' for none. */
  readonly tenant: string;
  readonly position: string;
};

/** A piece of an audience: who is in it, and where the next piece begins; undefined: that was all. */
export type Piece = { readonly reached: readonly Reached[]; readonly next: string | undefined };

/** Reads an audience from a position on, '' from its beginning. Positions only grow, so nobody is read twice. */
export type ReadSource = (db: Queryable, position: string) => Promise<Piece>;

const PIECE_USERS = 5_000;
const PIECE_PARTS = 20;
/** Users whose properties are in memory at once; how long conditions may take before others have their turn. */
const PIECE_PROPERTIES = 500;
const TURN_MS = 20;

type ReadContext = {
  readonly environmentId: number;
  /** The broadcast's own tenant, which then is everybody's. */
  readonly tenant: string | null;
  readonly nowMs: number;
};

export function readSource(source: Source, context: ReadContext): ReadSource {
  switch (source.kind) {
    case 'all_users':
      return (db, position) => readUsers(db, context.environmentId, position);
    case 'condition':
      return readMatching(source.conditions, context);
    case 'static':
      return context.tenant === null
        ? (db, position) => readMembers(db, source.audience_id, position)
        : (db, position) => readMemberUsers(db, source.audience_id, position);
    case 'failed':
      return (db, position) => readFailed(db, source.broadcast_id, position);
  }
}

async function readUsers(db: Queryable, environmentId: number, position: string): Promise<Piece> {
  const rows = await db.query<{ id: string }>(
    `select id
     from recipient
     where environment_id = $1
       and collection = '${USERS}'
       and id > $2
     order by id
     limit ${PIECE_USERS}`,
    [environmentId, position],
  );
  return pieceOf(rows.map(({ id }) => ({ userId: id, tenant: '', position: id })));
}

/** Evaluates the conditions of workflows, so that they mean the same here and there. */
function readMatching(conditions: JsonObject, context: ReadContext): ReadSource {
  const matches = compileConditions(conditions);
  const shared = {
    actor: null,
    tenant: null,
    data: {},
    workflow: {},
    vars: {},
    timestamp: new Date(context.nowMs).toISOString(),
  };
  return async (db, position) => {
    const rows = await db.query<{ id: string; properties: JsonObject }>(
      `select id, properties
       from recipient
       where environment_id = $1
         and collection = '${USERS}'
         and id > $2
       order by id
       limit ${PIECE_PROPERTIES}`,
      [context.environmentId, position],
    );
    const startedMs = performance.now();
    const reached: Reached[] = [];
    for (const [i, { id, properties }] of rows.entries()) {
      if (isTrueOf(id, () => matches(runScope({ ...shared, recipient: { ...properties, id } }))))
        reached.push({ userId: id, tenant: '', position: id });
      const isLast = i === rows.length - 1;
      if (!isLast && performance.now() - startedMs > TURN_MS) return { reached, next: id };
    }
    return { reached, next: rows.length < PIECE_PROPERTIES ? undefined : rows.at(-1)?.id };
  };
}

/** A template in a condition can fail, or take longer than it may: then nobody can say who is meant. */
function isTrueOf(userId: string, condition: () => boolean): boolean {
  try {
    return condition();
  } catch (error) {
    throw new BelfryError(
      'invalid_params',
      `The conditions of the audience fail for the user ${userId}: ${error instanceof Error ? error.message : error}; change them and make a new broadcast`,
    );
  }
}

async function readMembers(db: Queryable, audienceId: number, position: string): Promise<Piece> {
  const [user, tenant] = position === '' ? ['', ''] : (JSON.parse(position) as [string, string]);
  const rows = await db.query<{ user_id: string; tenant: string }>(
    `select user_id, tenant
     from audience_member
     where audience_id = $1
       and (user_id, tenant) > ($2, $3)
     order by user_id, tenant
     limit ${PIECE_USERS}`,
    [audienceId, user, tenant],
  );
  return pieceOf(
    rows.map((row) => ({
      userId: row.user_id,
      tenant: row.tenant,
      position: JSON.stringify([row.user_id, row.tenant]),
    })),
  );
}

/** Each user once, with however many tenants. */
async function readMemberUsers(
  db: Queryable,
  audienceId: number,
  position: string,
): Promise<Piece> {
  const rows = await db.query<{ user_id: string }>(
    `select distinct user_id
     from audience_member
     where audience_id = $1
       and user_id > $2
     order by user_id
     limit ${PIECE_USERS}`,
    [audienceId, position],
  );
  return pieceOf(rows.map((row) => ({ userId: row.user_id, tenant: '', position: row.user_id })));
}

/** Positions are `page/first/index` of the broadcast whose failed runs are read. */
async function readFailed(db: Queryable, broadcastId: number, position: string): Promise<Piece> {
  const [page = 0, first = 0, index = -1] = position === '' ? [] : position.split('/').map(Number);
  // The part of the position once more: it may not have been read to its end.
  const parts = await partsAfter(db, broadcastId, { page, first: first - 1 }, PIECE_PARTS);
  const pages = new Map(
    parts.length === 0
      ? []
      : (await pagesFrom(db, broadcastId, page, PIECE_PARTS)).map((read) => [read.page, read]),
  );
  const outcomes = await outcomesOf(db, parts);
  const reached = parts.flatMap((part, i) =>
    (outcomes[i] ?? [])
      .filter(({ failed }) => failed)
      .filter((outcome) => part.page !== page || part.first !== first || outcome.index > index)
      .map((outcome) => ({
        userId: pages.get(part.page)?.recipients[part.first + outcome.index] ?? '',
        tenant: pages.get(part.page)?.tenants?.[part.first + outcome.index] ?? '',
        position: `${part.page}/${part.first}/${outcome.index}`,
      })),
  );
  const last = parts.at(-1);
  return {
    reached,
    next:
      last && parts.length === PIECE_PARTS ? `${last.page}/${last.first}/${last.size}` : undefined,
  };
}

function pieceOf(reached: readonly Reached[]): Piece {
  return { reached, next: reached.length < PIECE_USERS ? undefined : reached.at(-1)?.position };
}
