import type { EnvironmentContext } from '../context.ts';
import { requireChannel } from '../feed/find-channel.ts';
import type { JsonObject } from '../lib/json.ts';
import { type Catalog, type Catalogs, GROUP } from './catalog.ts';
import type { Guide } from './guide.ts';
import { loadViewers, type Viewer } from './load-viewers.ts';
import { viewerScope, weigh } from './weigh.ts';

/** The answer of the wire contract. */
export type GuidesAnswer = {
  readonly entries: readonly JsonObject[];
  readonly guide_groups: readonly JsonObject[];
  readonly guide_group_display_logs: { readonly [group: string]: string };
  readonly ineligible_guides: readonly JsonObject[];
};

/** The guides of a channel as a user sees them. Throws `resource_missing` and `channel_invalid` for the channel. */
export async function listGuides(
  ctx: EnvironmentContext,
  input: {
    readonly catalogs: Catalogs;
    readonly channelId: string;
    readonly viewer: Viewer;
    /** Only guides of this type. */
    readonly type?: string | undefined;
    /** Those that the user is not eligible for too; the toolbar shows them. */
    readonly force: boolean;
  },
): Promise<GuidesAnswer> {
  const { viewer, type, force } = input;
  const channelId = input.channelId.toLowerCase();
  await requireChannel(ctx, channelId, 'in_app_guide');
  const catalog = await input.catalogs.get(ctx);
  const nowMs = ctx.clock.now();
  const guides = visibleGuides(catalog, channelId).filter(
    (guide) => type === undefined || guide.type === type,
  );
  const [loaded] = await loadViewers(ctx.db, {
    environmentId: ctx.environment.id,
    viewers: [viewer],
    audiences: audiencesOf(guides),
    nowMs,
  });
  if (!loaded) throw new Error('a viewer was not loaded');
  const scope = viewerScope(catalog, loaded, nowMs);
  const weighed = guides.map((guide) => ({
    key: guide.key,
    ...weigh(guide, { catalog, loaded, scope, nowMs, force }),
  }));
  return {
    entries: weighed.flatMap(({ entry }) => (entry ? [entry] : [])),
    guide_groups: [groupAnswer(catalog, channelId)],
    guide_group_display_logs: loaded.displayedAt
      ? { [GROUP]: loaded.displayedAt.toISOString() }
      : {},
    ineligible_guides: weighed.flatMap(({ key, ineligible }) =>
      ineligible ? [{ __typename: 'GuideIneligibilityMarker', key, ...ineligible }] : [],
    ),
  };
}

/** Guides of a channel that are not archived, in the order in which they are shown. */
export function visibleGuides(catalog: Catalog, channelId: string): readonly Guide[] {
  return (catalog.byChannel.get(channelId) ?? []).filter(({ isArchived }) => !isArchived);
}

export function audiencesOf(guides: readonly Guide[]): readonly string[] {
  return [...new Set(guides.flatMap(({ audiences }) => audiences))];
}

/** The group as clients of a channel see it. */
export function groupAnswer(catalog: Catalog, channelId: string): JsonObject {
  const { group } = catalog;
  const keys = visibleGuides(catalog, channelId).map(({ key }) => key);
  return {
    __typename: 'GuideGroup',
    key: GROUP,
    display_sequence: keys,
    display_sequence_unthrottled: keys.filter((key) => group.unthrottled.has(key)),
    display_sequence_throttled: keys.filter((key) => !group.unthrottled.has(key)),
    ...(group.displayInterval === null ? {} : { display_interval: group.displayInterval }),
    inserted_at: group.insertedAt.toISOString(),
    updated_at: group.updatedAt.toISOString(),
  };
}
