import type { Queryable } from '../db/database.ts';
import type { JsonObject } from '../lib/json.ts';
import type { ChannelType, CompileEnvironment, EnvironmentChannel } from '../workflows/step.ts';
import { contentSha } from './canonical-json.ts';
import {
  channelGroupOf,
  layoutOf,
  partialOf,
  type Resource,
  type ResourceKind,
  translationOf,
} from './resources.ts';

export const DEFAULT_LOCALE = 'en';

/** An account's channel, as workflows know it. */
export type AccountChannel = {
  readonly id: string;
  readonly key: string;
  readonly type: ChannelType;
  readonly provider: string;
  /** Of the environment: messages are recorded and not sent; what must hold for every step that uses the channel. */
  readonly isSandbox: boolean;
  readonly conditions: JsonObject | null;
  readonly linkTracking: boolean;
  readonly openTracking: boolean;
};

/** What workflows of an environment may refer to, as it is kept. */
export type Shared = {
  readonly channels: readonly AccountChannel[];
  readonly resources: readonly (Resource & { readonly sha: string })[];
  readonly defaultLocale: string;
};

type ResourceRow = {
  readonly kind: ResourceKind;
  readonly key: string;
  readonly content: JsonObject;
  readonly sha: string;
};

/** Reads what the workflows of an environment share. */
export async function loadShared(
  db: Queryable,
  { id, accountId }: { readonly id: number; readonly accountId: number },
): Promise<Shared> {
  const channels = await db.query<AccountChannel>(
    `
    select c.id, c.key, c.type, c.provider, coalesce(s.is_sandbox, false) as "isSandbox", s.conditions,
      coalesce(s.link_tracking, false) as "linkTracking", coalesce(s.open_tracking, false) as "openTracking"
    from channel c
    left join channel_setting s
      on s.channel_id = c.id
     and s.environment_id = $2
    where c.account_id = $1
      and c.type <> 'in_app_guide'
    order by c.key`,
    [accountId, id],
  );
  const resources = await db.query<ResourceRow>(
    `
    select kind, key, content, sha
    from resource
    where environment_id = $1
    union all
    select 'channel_group', key, content, sha
    from channel_group
    where account_id = $2
    order by 1, 2`,
    [id, accountId],
  );
  const [settings] = await db.query<{ readonly locale: string | null }>(
    `
    select settings ->> 'default_locale' as locale
    from environment
    where id = $1`,
    [id],
  );
  return { channels, resources, defaultLocale: settings?.locale ?? DEFAULT_LOCALE };
}

/** Equal for what compiles to the same. */
export function fingerprint({ channels, resources, defaultLocale }: Shared): string {
  return contentSha([
    defaultLocale,
    channels.map((channel) => [
      channel.id,
      channel.key,
      channel.type,
      channel.provider,
      channel.isSandbox,
      channel.conditions,
      channel.linkTracking,
      channel.openTracking,
    ]),
    resources.map(({ kind, key, sha }) => [kind, key, sha]),
  ]);
}

/** Which workflows, audiences and guides may be named; running versions are not asked. */
export type KnownKeys = Pick<
  CompileEnvironment,
  'workflow' | 'audience' | 'guide' | 'guideChannel'
>;

const ANY_KEYS: KnownKeys = {
  workflow: () => true,
  audience: () => true,
  guide: () => true,
  guideChannel: () => true,
};

/**
 * What workflows may refer to. A resource that cannot be read is left out and given to `unreadable`: what names it
 * then fails to compile, and nothing else.
 */
export function compileEnvironment(
  shared: Shared,
  unreadable: (error: Error) => void,
  keys: KnownKeys = ANY_KEYS,
): CompileEnvironment {
  const channels = new Map(
    shared.channels.map(({ id, key, type, provider, isSandbox, conditions, ...settings }) => [
      key,
      {
        id,
        type,
        provider,
        ...(isSandbox && { isSandbox }),
        ...(conditions && { conditions }),
        ...trackingOf(settings),
      },
    ]),
  );
  const read = <Value>(kind: ResourceKind, reader: (resource: Resource) => Value) =>
    new Map(
      shared.resources.flatMap((resource) => {
        if (resource.kind !== kind) return [];
        try {
          return [[resource.key, reader(resource)] as const];
        } catch (error) {
          unreadable(error instanceof Error ? error : new Error(String(error)));
          return [];
        }
      }),
    );
  const groups = read('channel_group', channelGroupOf);
  const layouts = read('layout', layoutOf);
  const partials = read('partial', partialOf);
  const translations = read('translation', translationOf);
  return {
    ...keys,
    channel: (key) => channels.get(key),
    channelGroup: (key) => groups.get(key),
    layout: (key) => layouts.get(key),
    templates: {
      partial: (key) => partials.get(key),
      translations: [...translations.values()],
      defaultLocale: shared.defaultLocale,
    },
  };
}

function trackingOf({
  linkTracking: links,
  openTracking: opens,
}: Pick<AccountChannel, 'linkTracking' | 'openTracking'>): Pick<EnvironmentChannel, 'tracking'> {
  if (!links && !opens) return {};
  return { tracking: { ...(links && { links }), ...(opens && { opens }) } };
}
