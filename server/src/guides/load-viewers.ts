import { plainArray, textArray } from '../db/array-literal.ts';
import type { Queryable, Statement } from '../db/database.ts';
import type { JsonObject } from '../lib/json.ts';
import { MembershipLoader } from '../recipients/memberships.ts';
import { TENANTS, USERS } from '../recipients/reference.ts';
import { GROUP } from './catalog.ts';

/** Who looks at guides, and with what. */
export type Viewer = {
  readonly userId: string;
  readonly tenant: string | null;
  /** What the application says about the moment, for conditions and templates. */
  readonly data: JsonObject;
};

/** A viewer with everything that weighing guides needs. */
export type LoadedViewer = {
  readonly viewer: Viewer;
  readonly recipient: JsonObject;
  readonly tenant: JsonObject | null;
  /** What the user did, by guide key and step ref. */
  readonly engagements: ReadonlyMap<string, ReadonlyMap<string, Engagement>>;
  /** `{"recipient": {"beta": true}}`, of the audiences that were asked for. */
  readonly audiences: JsonObject;
  /** When the user last dismissed a guide that keeps the pace. */
  readonly displayedAt: Date | null;
};

export type Engagement = {
  readonly messageId: string;
  readonly seenAt: Date | null;
  readonly readAt: Date | null;
  readonly interactedAt: Date | null;
  readonly archivedAt: Date | null;
};

type EngagementRow = Engagement & {
  readonly viewer: number;
  readonly guide_key: string;
  readonly step_ref: string;
};

const LOAD_VIEWERS: Statement = {
  name: 'load_guide_viewers',
  text: `select u.properties as user_properties, t.properties as tenant_properties, d.displayed_at
  from unnest($2::text[], $3::text[]) with ordinality as wanted(user_id, tenant, n)
  left join recipient u
    on u.environment_id = $1
   and u.collection = '${USERS}'
   and u.id = wanted.user_id
  left join recipient t
    on t.environment_id = $1
   and t.collection = '${TENANTS}'
   and t.id = wanted.tenant
  left join guide_display d
    on d.environment_id = $1
   and d.user_id = wanted.user_id
   and d.group_key = '${GROUP}'
  order by wanted.n`,
};

const LOAD_ENGAGEMENTS: Statement = {
  name: 'load_guide_engagements',
  text: `select wanted.viewer, e.guide_key, e.step_ref, e.message_id as "messageId", e.seen_at as "seenAt",
    e.read_at as "readAt", e.interacted_at as "interactedAt", e.archived_at as "archivedAt"
  from unnest($2::text[], $3::text[], $4::int[]) as wanted(user_id, tenant, viewer)
  join guide_engagement e
    on e.environment_id = $1
   and e.user_id = wanted.user_id
   and e.tenant = wanted.tenant`,
};

/**
 * Loads viewers of one environment at once: two statements however many they are, and two more where guides ask for
 * audiences. Users and tenants that were never identified have nothing but an id.
 */
export async function loadViewers(
  db: Queryable,
  input: {
    readonly environmentId: number;
    readonly viewers: readonly Viewer[];
    /** Keys of the audiences that the guides ask for. */
    readonly audiences: readonly string[];
    readonly nowMs: number;
  },
): Promise<readonly LoadedViewer[]> {
  const { environmentId, viewers } = input;
  const userIds = textArray(viewers.map(({ userId }) => userId));
  // No tenant has an empty id.
  const tenants = textArray(viewers.map(({ tenant }) => tenant ?? ''));
  const rows = await db.query<{
    user_properties: JsonObject | null;
    tenant_properties: JsonObject | null;
    displayed_at: Date | null;
  }>(LOAD_VIEWERS, [environmentId, userIds, tenants]);
  const engagements = await db.query<EngagementRow>(LOAD_ENGAGEMENTS, [
    environmentId,
    userIds,
    tenants,
    plainArray(viewers.map((_, index) => index)),
  ]);
  const scopes = viewers.map(({ userId }, index) => ({
    ...rows[index]?.user_properties,
    id: userId,
  }));
  const audiencesOf = await loadAudiences(db, input, scopes);
  const engaged = Map.groupBy(engagements, ({ viewer }) => viewer);
  return viewers.map((viewer, index) => ({
    viewer,
    recipient: scopes[index] ?? { id: viewer.userId },
    tenant:
      viewer.tenant === null ? null : { ...rows[index]?.tenant_properties, id: viewer.tenant },
    engagements: byGuide(engaged.get(index) ?? []),
    audiences: { recipient: audiencesOf(viewer) },
    displayedAt: rows[index]?.displayed_at ?? null,
  }));
}

async function loadAudiences(
  db: Queryable,
  input: Parameters<typeof loadViewers>[1],
  scopes: readonly JsonObject[],
): Promise<(viewer: Viewer) => JsonObject> {
  const { environmentId, viewers, audiences, nowMs } = input;
  const loader = new MembershipLoader();
  for (const { userId, tenant } of viewers) {
    loader.want(environmentId, USERS, userId, tenant, audiences);
  }
  const scopeOf = new Map(viewers.map(({ userId }, index) => [userId, scopes[index]]));
  const memberships = await loader.load(db, nowMs, (_environment, _collection, id) => ({
    scope: scopeOf.get(id) ?? { id },
  }));
  return ({ userId, tenant }) => memberships(environmentId, USERS, userId, tenant);
}

function byGuide(rows: readonly EngagementRow[]): Map<string, Map<string, Engagement>> {
  const guides = new Map<string, Map<string, Engagement>>();
  for (const row of rows) {
    const steps = guides.get(row.guide_key) ?? new Map<string, Engagement>();
    guides.set(row.guide_key, steps.set(row.step_ref, row));
  }
  return guides;
}
