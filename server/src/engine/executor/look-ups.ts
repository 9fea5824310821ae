import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Queryable, Statement } from '../../db/database.ts';
import type { Json, JsonObject } from '../../lib/json.ts';
import { RecipientNeeded, type Wanted } from '../../templates/recipient-needed.ts';
import type { Lookup } from '../../templates/template-scope.ts';
import { USERS } from '../log/chunk.ts';

export type WantedIn = Wanted & { readonly environmentId: number };

/** How often templates of a run may look somebody up by what they found before. */
export const MAX_LOOK_UP_ROUNDS = 5;
/** Whom they may look up altogether, each time it is evaluated. */
export const MAX_LOOKED_UP = 100;

/** Most objects that the filter `subscriptions` gives. */
const MAX_SUBSCRIPTIONS = 25;

const RECIPIENTS: Statement = {
  name: 'look_up_recipients',
  text: `select r.properties, r.created_at, r.updated_at
  from unnest($1::int[], $2::text[], $3::text[]) with ordinality as wanted(environment_id, collection, id, n)
  left join recipient r
    on r.environment_id = wanted.environment_id
   and r.collection = wanted.collection
   and r.id = wanted.id
  order by wanted.n`,
};

const SUBSCRIPTIONS: Statement = {
  name: 'look_up_subscriptions',
  text: `select wanted.n::int, s.properties as subscription, s.object_collection, s.object_id,
    r.properties, r.created_at, r.updated_at
  from unnest($1::int[], $2::text[], $3::text[]) with ordinality as wanted(environment_id, collection, id, n)
  cross join lateral (
    select s.environment_id, s.object_collection, s.object_id, s.properties, s.inserted_at
    from subscription s
    where s.environment_id = wanted.environment_id
      and s.recipient_collection = wanted.collection
      and s.recipient_id = wanted.id
    order by s.object_collection, s.object_id
    limit ${MAX_SUBSCRIPTIONS}
  ) s
  left join recipient r
    on r.environment_id = s.environment_id
   and r.collection = s.object_collection
   and r.id = s.object_id
  order by wanted.n, s.object_collection, s.object_id`,
};

type RecipientRow = {
  readonly properties: JsonObject | null;
  readonly created_at: Date | null;
  readonly updated_at: Date | null;
};

type SubscriptionRow = RecipientRow & {
  /** From 1. */
  readonly n: number;
  readonly subscription: JsonObject | null;
  readonly object_collection: string;
  readonly object_id: string;
};

/** Whom the templates of an assignment's runs named by id, loaded set-wise when a run cannot go on without. */
export class LookUps {
  readonly #found = new Map<string, Json>();
  readonly #lookups = new Map<number, Lookup>();

  /** What templates of an environment find so far. */
  of(environmentId: number): Lookup {
    let lookup = this.#lookups.get(environmentId);
    if (!lookup) {
      lookup = { find: (want) => this.#found.get(keyOf({ ...want, environmentId })), missed: [] };
      this.#lookups.set(environmentId, lookup);
    }
    return lookup;
  }

  /** Loads those that are not known yet: a statement for recipients, one for subscriptions. */
  async load(db: Queryable, wants: readonly WantedIn[]): Promise<void> {
    const missing = new Map<string, WantedIn>();
    for (const want of wants) {
      const key = keyOf(want);
      if (!this.#found.has(key)) missing.set(key, want);
    }
    const list = [...missing.values()];
    await this.#loadRecipients(
      db,
      list.filter(({ kind }) => kind === 'recipient'),
    );
    await this.#loadSubscriptions(
      db,
      list.filter(({ kind }) => kind === 'subscriptions'),
    );
  }

  async #loadRecipients(db: Queryable, wants: readonly WantedIn[]): Promise<void> {
    if (wants.length === 0) return;
    const rows = await db.query<RecipientRow>(RECIPIENTS, values(wants));
    wants.forEach((want, i) => {
      const row = rows[i];
      const known = row?.properties ? visible(want.collection, want.id, row) : null;
      this.#found.set(keyOf(want), known);
    });
  }

  async #loadSubscriptions(db: Queryable, wants: readonly WantedIn[]): Promise<void> {
    if (wants.length === 0) return;
    const rows = await db.query<SubscriptionRow>(SUBSCRIPTIONS, values(wants));
    const lists = wants.map((): JsonObject[] => []);
    for (const row of rows) {
      lists[row.n - 1]?.push({
        object: visible(row.object_collection, row.object_id, row),
        properties: row.subscription ?? {},
      });
    }
    wants.forEach((want, i) => {
      this.#found.set(keyOf(want), lists[i] ?? []);
    });
  }
}

/**
 * What `render` gives, which is called again when those are loaded whom its templates named. Throws what it throws, and
 * a RecipientNeeded of more than a run may look up.
 */
export async function withLookUps<Result>(
  load: (wants: readonly WantedIn[]) => Promise<void>,
  environmentId: number,
  render: () => Result | Promise<Result>,
): Promise<Result> {
  let lookedUp = 0;
  for (let round = 1; ; round++) {
    try {
      return await render();
    } catch (error) {
      if (!(error instanceof RecipientNeeded) || round > MAX_LOOK_UP_ROUNDS) throw error;
      lookedUp += error.wants.length;
      if (lookedUp > MAX_LOOKED_UP) throw error;
      await load(error.wants.map((want) => ({ ...want, environmentId })));
    }
  }
}

/** As templates see anybody: the properties, whose `created_at` is the caller's own if there is one. */
function visible(collection: string, id: string, row: RecipientRow): JsonObject {
  return {
    ...(row.created_at ? { created_at: row.created_at.toISOString() } : {}),
    ...(row.updated_at ? { updated_at: row.updated_at.toISOString() } : {}),
    ...row.properties,
    id,
    ...(collection === USERS ? {} : { collection }),
  };
}

function keyOf({ environmentId, kind, collection, id }: WantedIn): string {
  return `${environmentId} ${kind} ${collection}\n${id}`;
}

function values(wants: readonly WantedIn[]): string[] {
  return [
    plainArray(wants.map(({ environmentId }) => environmentId)),
    textArray(wants.map(({ collection }) => collection)),
    textArray(wants.map(({ id }) => id)),
  ];
}
