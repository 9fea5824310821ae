import { plainArray, textArray } from '../db/array-literal.ts';
import type { Queryable, Statement } from '../db/database.ts';
import type { JsonObject } from '../lib/json.ts';
import { conditionListOf } from '../workflows/condition-cache.ts';
import { runScope } from '../workflows/scope.ts';
import { USERS } from './reference.ts';

/** Somebody as conditions see them. */
type Loaded = { readonly scope: JsonObject };

/** Who is asked about: a user, in a run for a tenant or for none. */
type Person = {
  readonly environmentId: number;
  readonly id: string;
  readonly tenant: string | null;
};

/** Audiences of those that were asked about, `{"beta": true}`; nobody else is in any. */
export type Memberships = (
  environmentId: number,
  collection: string,
  id: string,
  tenant: string | null,
) => JsonObject;

type AudienceRow = {
  readonly id: number;
  readonly environment_id: number;
  readonly key: string;
  readonly kind: string;
  readonly conditions: JsonObject | null;
};

const LOAD_AUDIENCES: Statement = {
  name: 'load_audiences',
  text: `select a.id, a.environment_id, a.key, a.kind, a.conditions
from unnest($1::int[], $2::text[]) as wanted(environment_id, key)
join audience a
  on a.environment_id = wanted.environment_id
 and a.key = wanted.key`,
};

const LOAD_MEMBERS: Statement = {
  name: 'load_memberships',
  text: `select wanted.audience, wanted.person
from unnest($1::int[], $2::int[], $3::text[], $4::text[]) as wanted(audience, person, user_id, tenant)
join audience_member m
  on m.audience_id = wanted.audience
 and m.user_id = wanted.user_id
 and m.tenant = wanted.tenant`,
};

const NONE: JsonObject = {};

/**
 * Asks for everybody at once: two statements however many people and audiences, and none when nobody is asked about.
 * A member is in a static audience with a tenant or with none, and counts for runs with the same.
 */
export class MembershipLoader {
  readonly #keys = new Map<string, { readonly environmentId: number; readonly key: string }>();
  readonly #people = new Map<string, Person>();

  /** Somebody who may be asked about, with the keys of the audiences. Only users are members. */
  want(
    environmentId: number,
    collection: string,
    id: string,
    tenant: string | null,
    keys: readonly string[],
  ): void {
    if (collection !== USERS || keys.length === 0) return;
    for (const key of keys) this.#keys.set(`${environmentId} ${key}`, { environmentId, key });
    this.#people.set(nameOf(environmentId, id, tenant), { environmentId, id, tenant });
  }

  async load(
    db: Queryable,
    nowMs: number,
    recipient: (
      environmentId: number,
      collection: string,
      id: string,
      tenant: string | null,
    ) => Loaded,
  ): Promise<Memberships> {
    if (this.#people.size === 0) return () => NONE;
    const wanted = [...this.#keys.values()];
    const audiences = await db.query<AudienceRow>(LOAD_AUDIENCES, [
      plainArray(wanted.map(({ environmentId }) => environmentId)),
      textArray(wanted.map(({ key }) => key)),
    ]);
    const people = [...this.#people.values()];
    const found: Record<string, true>[] = people.map(() => ({}));
    const asked: { audience: AudienceRow; person: number }[] = [];
    const timestamp = new Date(nowMs).toISOString();
    for (const audience of audiences) {
      people.forEach(({ environmentId, id, tenant }, person) => {
        if (environmentId !== audience.environment_id) return;
        if (audience.kind === 'static') asked.push({ audience, person });
        else if (isIn(audience, recipient(environmentId, USERS, id, tenant), timestamp)) {
          Object.assign(found[person] ?? {}, { [audience.key]: true });
        }
      });
    }
    await addMembers(db, asked, people, found);
    const names = [...this.#people.keys()];
    const byName = new Map(names.map((name, person) => [name, found[person] ?? NONE]));
    return (environmentId, collection, id, tenant) =>
      (collection === USERS && byName.get(nameOf(environmentId, id, tenant))) || NONE;
  }
}

async function addMembers(
  db: Queryable,
  asked: readonly { readonly audience: AudienceRow; readonly person: number }[],
  people: readonly Person[],
  found: readonly Record<string, true>[],
): Promise<void> {
  if (asked.length === 0) return;
  const keys = new Map(asked.map(({ audience }) => [audience.id, audience.key]));
  const rows = await db.query<{ audience: number; person: number }>(LOAD_MEMBERS, [
    plainArray(asked.map(({ audience }) => audience.id)),
    plainArray(asked.map(({ person }) => person)),
    textArray(asked.map(({ person }) => people[person]?.id ?? '')),
    textArray(asked.map(({ person }) => people[person]?.tenant ?? '')),
  ]);
  for (const { audience, person } of rows) {
    Object.assign(found[person] ?? {}, { [keys.get(audience) ?? '']: true });
  }
}

/** Of an audience by conditions, which are over the user alone. What cannot be evaluated is nobody's membership. */
function isIn(
  { kind, conditions }: AudienceRow,
  { scope: recipient }: Loaded,
  timestamp: string,
): boolean {
  if (kind === 'all_users') return true;
  if (!conditions) return false;
  const scope = runScope({
    recipient,
    actor: null,
    tenant: null,
    data: {},
    workflow: {},
    vars: {},
    timestamp,
  });
  try {
    return conditionListOf([conditions])(scope);
  } catch {
    return false;
  }
}

function nameOf(environmentId: number, id: string, tenant: string | null): string {
  return tenant === null ? `${environmentId} ${id}` : `${environmentId} ${id}\n${tenant}`;
}
