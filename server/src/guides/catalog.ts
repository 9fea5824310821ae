import type { EnvironmentContext } from '../context.ts';
import type { EnvironmentInUse, EnvironmentsInUse } from '../control/environments-in-use.ts';
import type { Json, JsonObject } from '../lib/json.ts';
import { createLruCache } from '../lib/lru.ts';
import { compileGuide, type Guide, type GuideRow } from './guide.ts';

/** The group whose order and pace all guides share. */
export const GROUP = 'default';

/** The guides of an environment. */
export type Catalog = {
  readonly revision: number;
  /** What templates see as `vars`; nothing secret. */
  readonly vars: JsonObject;
  /** By channel id, in the order in which they are shown; archived ones too. */
  readonly byChannel: ReadonlyMap<string, readonly Guide[]>;
  readonly byKey: ReadonlyMap<string, Guide>;
  readonly group: Group;
};

export type Group = {
  /** Keys of those that keep no pace. */
  readonly unthrottled: ReadonlySet<string>;
  /** Seconds between two guides; null: none. */
  readonly displayInterval: number | null;
  readonly insertedAt: Date;
  readonly updatedAt: Date;
};

export type Catalogs = {
  /** At most 2 s older than the database; while nothing changes, the same object. */
  readonly get: (ctx: EnvironmentContext) => Promise<Catalog>;
  /** The next answers are no older than this call. */
  readonly invalidate: (environmentId: number) => void;
};

type GroupRow = {
  readonly content: JsonObject;
  readonly inserted_at: Date;
  readonly updated_at: Date;
};

const CAPACITY = 500;
/** What nobody has asked for so long is loaded again. */
const KEPT_MS = 3_600_000;
const NO_TIME = new Date(0);

/** Loads and compiles the guides of an environment when its revision rises; holds those of 500 environments. */
export function createCatalogs(environments: EnvironmentsInUse): Catalogs {
  const catalogs = createLruCache<Catalog>(CAPACITY, KEPT_MS);
  const loads = new Map<string, Promise<Catalog>>();
  return {
    invalidate: environments.invalidate,
    get: async (ctx) => {
      const { id } = ctx.environment;
      const environment = environments.peek(id) ?? (await environments.get(id));
      const known = catalogs.get(String(id), ctx.clock.now());
      if (known && known.revision >= environment.revision) return known;
      const name = `${id} ${environment.revision}`;
      let loading = loads.get(name);
      if (!loading) {
        loading = load(ctx, environment)
          .then((catalog) => {
            const newest = catalogs.get(String(id), ctx.clock.now());
            if (newest && newest.revision > catalog.revision) return newest;
            catalogs.set(String(id), catalog, ctx.clock.now());
            return catalog;
          })
          .finally(() => loads.delete(name));
        loads.set(name, loading);
      }
      return loading;
    },
  };
}

async function load(ctx: EnvironmentContext, environment: EnvironmentInUse): Promise<Catalog> {
  // The revision is older than what is read now, so that a change in between is seen by the next look.
  const rows = await ctx.db.query<GuideRow>(
    {
      name: 'guides_of_environment',
      text: `
        select g.id, g.key, g.number, g.content, g.active, g.active_from, g.active_until,
          g.inserted_at, g.updated_at, c.id as channel_id
        from guide g
        join channel c
          on c.account_id = $2
         and c.key = g.content ->> 'channel_key'
         and c.type = 'in_app_guide'
        where g.environment_id = $1
        order by g.inserted_at, g.key`,
    },
    [ctx.environment.id, ctx.environment.accountId],
  );
  const [group] = await ctx.db.query<GroupRow>(
    {
      name: 'guide_group_of_environment',
      text: `
        select content, inserted_at, updated_at
        from guide_group
        where environment_id = $1
          and key = $2`,
    },
    [ctx.environment.id, GROUP],
  );
  const guides = rows.flatMap((row) => {
    try {
      return [compileGuide(row, environment.compile.templates)];
    } catch (error) {
      ctx.log.error(
        { err: error, environment: ctx.environment.id, guide: row.key },
        'the guide does not compile with what its environment shares now; it is left out',
      );
      return [];
    }
  });
  const ordered = inOrder(guides, texts(group?.content.display_sequence));
  return {
    revision: environment.revision,
    vars: environment.vars,
    byChannel: Map.groupBy(ordered, ({ channelId }) => channelId),
    byKey: new Map(guides.map((guide) => [guide.key, guide])),
    group: {
      unthrottled: new Set(texts(group?.content.display_sequence_unthrottled)),
      displayInterval:
        typeof group?.content.display_interval === 'number' ? group.content.display_interval : null,
      insertedAt: group?.inserted_at ?? rows[0]?.inserted_at ?? NO_TIME,
      updatedAt: group?.updated_at ?? rows.at(-1)?.inserted_at ?? NO_TIME,
    },
  };
}

/** Those that the group names first, then the others by age. */
function inOrder(guides: readonly Guide[], sequence: readonly string[]): Guide[] {
  const places = new Map(sequence.map((key, place) => [key, place]));
  const placeOf = ({ key }: Guide) => places.get(key) ?? sequence.length;
  return guides.toSorted((one, other) => placeOf(one) - placeOf(other));
}

function texts(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}
