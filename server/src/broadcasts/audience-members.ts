import type { EnvironmentContext } from '../context.ts';
import { textArray } from '../db/array-literal.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { identifyMany } from '../recipients/identify.ts';
import { type InlineRecipient, parseRecipient } from '../recipients/inline.ts';
import { type Page, type PageRequest, pageOf } from '../recipients/page.ts';
import type { RecipientRow } from '../recipients/recipient.ts';
import { USERS } from '../recipients/reference.ts';
import { parseTenant } from '../recipients/tenant.ts';
import { signalsSql } from '../signals/signals-sql.ts';
import { staticAudience } from './audience.ts';

const MEMBER_LIMIT = 1_000;

/** The audience, which cannot be deleted before the statement is committed: no member comes after its deletion. */
const KEPT_AUDIENCE = `kept as materialized (
       select id, environment_id, key
       from audience
       where id = $1
       for key share
     )`;

/** Tells those who wait for members to come or go; each user once, whatever the tenants. */
function membershipSignals(event: 'enter' | 'exit', changed: string): string {
  return signalsSql(`
         select distinct kept.environment_id, '${USERS}' as collection, c.user_id as recipient_id, 'audience' as kind,
                kept.key as source, '${event}' as event, jsonb_build_object('audience', kept.key) as detail
         from ${changed} c, kept`);
}

type MemberKey = { readonly userId: string; readonly tenant: string };

export type Member = MemberKey & { readonly addedAt: Date; readonly user: RecipientRow };

/** Adds members; those whose user comes with properties are identified. A member is a user with a tenant or none. */
export async function addMembers(
  ctx: EnvironmentContext,
  input: { readonly key: string; readonly create: boolean; readonly members: unknown },
): Promise<void> {
  const { keys, identify } = parseMembers(input.members);
  const audience = await staticAudience(ctx, input);
  if (identify.length > 0) await identifyMany(ctx, identify);
  const found = await ctx.db.query(
    `with ${KEPT_AUDIENCE}, added as (
       insert into audience_member (audience_id, user_id, tenant)
       select kept.id, m.user_id, m.tenant
       from kept, unnest($2::text[], $3::text[]) as m(user_id, tenant)
       order by m.user_id, m.tenant
       on conflict do nothing
       returning user_id, tenant
     ), signals as (
       ${membershipSignals('enter', 'added')}
     )
     select from kept`,
    memberValues(audience.id, keys),
  );
  if (found.length > 0) return;
  throw new BelfryError(
    'conflict',
    `The audience ${JSON.stringify(input.key)} was deleted while members were added to it; add them again`,
  );
}

/** Removes members. Those that are none are none already. */
export async function removeMembers(
  ctx: EnvironmentContext,
  input: { readonly key: string; readonly members: unknown },
): Promise<void> {
  const { keys } = parseMembers(input.members);
  const audience = await staticAudience(ctx, { key: input.key, create: false });
  await ctx.db.query(
    `with ${KEPT_AUDIENCE}, removed as (
       delete from audience_member m
       using kept
       where m.audience_id = kept.id
         and (m.user_id, m.tenant) in (select * from unnest($2::text[], $3::text[]))
       returning m.user_id, m.tenant
     )
     ${membershipSignals('exit', 'removed')}`,
    memberValues(audience.id, keys),
  );
}

/** The members by user and tenant, a page at a time. */
export async function listMembers(
  ctx: EnvironmentContext,
  input: { readonly key: string; readonly page: PageRequest },
): Promise<Page<Member>> {
  const audience = await staticAudience(ctx, { key: input.key, create: false });
  const { page } = input;
  const isBackward = page.before !== undefined;
  const [user, tenant] = cursorKey(page.after ?? page.before);
  const direction = isBackward ? 'desc' : 'asc';
  const rows = await ctx.db.query<
    MemberKey & { added_at: Date } & { [Key in 'properties']: JsonObject | null } & {
      created_at: Date | null;
      updated_at: Date | null;
    }
  >(
    `select m.user_id as "userId", m.tenant, m.added_at, r.properties, r.created_at, r.updated_at
     from audience_member m
     left join recipient r
       on r.environment_id = $1
       and r.collection = '${USERS}'
       and r.id = m.user_id
     where m.audience_id = $2
       and ($3::text is null or (m.user_id, m.tenant) ${isBackward ? '<' : '>'} ($3, $4::text))
     order by m.user_id ${direction}, m.tenant ${direction}
     limit $5`,
    [ctx.environment.id, audience.id, user ?? null, tenant ?? null, page.size + 1],
  );
  const members = rows.map((row) => ({
    userId: row.userId,
    tenant: row.tenant,
    addedAt: row.added_at,
    // A member whose user was deleted, or was never identified, has no properties.
    user: {
      collection: USERS,
      id: row.userId,
      properties: row.properties ?? {},
      created_at: row.created_at ?? row.added_at,
      updated_at: row.updated_at ?? row.added_at,
    },
  }));
  return pageOf(page, members, ({ userId, tenant: of }) => JSON.stringify([userId, of]));
}

function cursorKey(cursor: string | undefined): readonly string[] {
  if (cursor === undefined) return [];
  try {
    const key: unknown = JSON.parse(cursor);
    if (Array.isArray(key) && key.length === 2 && key.every((part) => typeof part === 'string')) {
      return key;
    }
  } catch {
    // Told below.
  }
  throw invalidField('after', 'is not a cursor of an earlier answer');
}

function parseMembers(value: unknown): {
  readonly keys: readonly MemberKey[];
  readonly identify: readonly InlineRecipient[];
} {
  if (!Array.isArray(value)) throw invalidField('members', 'must be a list');
  if (value.length === 0) throw invalidField('members', 'must have at least one member');
  if (value.length > MEMBER_LIMIT) {
    throw invalidField('members', `must have at most ${MEMBER_LIMIT} members, not ${value.length}`);
  }
  const keys: MemberKey[] = [];
  const identify: InlineRecipient[] = [];
  for (const [index, member] of value.entries()) {
    const field = `members[${index}]`;
    if (!isJsonObject(member)) throw invalidField(field, 'must be an object with a user');
    if (!isJsonObject(member.user)) throw invalidField(`${field}.user`, 'must be an object');
    const user = parseRecipient(member.user, `${field}.user`);
    if (user.key.collection !== USERS) throw invalidField(`${field}.user`, 'must be a user');
    if (user.inline) identify.push(user.inline);
    let tenant = '';
    if (member.tenant !== undefined && member.tenant !== null) {
      const inline = parseTenant(member.tenant, `${field}.tenant`);
      identify.push(inline);
      tenant = inline.id;
    }
    keys.push({ userId: user.key.id, tenant });
  }
  return { keys, identify };
}

function memberValues(audienceId: number, keys: readonly MemberKey[]): unknown[] {
  return [
    audienceId,
    textArray(keys.map(({ userId }) => userId)),
    textArray(keys.map(({ tenant }) => tenant)),
  ];
}
