import type { JsonObject } from '../lib/json.ts';
import type { Catalog } from './catalog.ts';
import { type Guide, isActive } from './guide.ts';
import { groupAnswer } from './list-guides.ts';
import type { LoadedViewer } from './load-viewers.ts';
import { viewerScope, weigh } from './weigh.ts';

export type GuideEvent = {
  readonly event: 'guide.added' | 'guide.updated' | 'guide.removed' | 'guide_group.updated';
  readonly data: JsonObject;
};

/** What happened to the guides of a channel. */
export type ChannelChanges = {
  readonly guides: readonly GuideChange[];
  readonly group: boolean;
};

type GuideChange = {
  readonly guide: Guide;
  readonly was: boolean;
  readonly is: boolean;
};

type Told = { readonly catalog: Catalog; readonly toldMs: number };

/** What is different between two looks, by channel; channels without changes are not there. */
export function changesBetween(before: Told, after: Told): Map<string, ChannelChanges> {
  const channels = new Set([...before.catalog.byChannel.keys(), ...after.catalog.byChannel.keys()]);
  const changes = new Map<string, ChannelChanges>();
  for (const channelId of channels) {
    const old = guidesByKey(before.catalog, channelId);
    const current = guidesByKey(after.catalog, channelId);
    const guides = [...new Set([...old.keys(), ...current.keys()])].flatMap((key) => {
      const [past, present] = [old.get(key), current.get(key)];
      const guide = present ?? past;
      if (!guide) return [];
      const was = past !== undefined && isActive(past, before.toldMs);
      const is = present !== undefined && isActive(present, after.toldMs);
      return was === is && past?.stamp === present?.stamp ? [] : [{ guide, was, is }];
    });
    const group =
      JSON.stringify(groupAnswer(before.catalog, channelId)) !==
      JSON.stringify(groupAnswer(after.catalog, channelId));
    if (group || guides.length > 0) changes.set(channelId, { guides, group });
  }
  return changes;
}

/** What changed in a channel within the last `recentMs`; undefined: nothing. */
export function recentChanges(
  catalog: Catalog,
  channelId: string,
  nowMs: number,
  recentMs: number,
): ChannelChanges | undefined {
  const isRecent = (ms: number | undefined) =>
    ms !== undefined && ms <= nowMs && ms > nowMs - recentMs;
  const guides = (catalog.byChannel.get(channelId) ?? [])
    .filter(
      (guide) =>
        guide.updatedMs > nowMs - recentMs ||
        isRecent(guide.activeFromMs) ||
        isRecent(guide.activeUntilMs),
    )
    .map((guide) => ({ guide, was: true, is: isActive(guide, nowMs) }));
  const group = guides.length > 0 || catalog.group.updatedAt.getTime() > nowMs - recentMs;
  return group ? { guides, group } : undefined;
}

/** The next time after `afterMs` at which a guide goes on or off by itself. */
export function nextChangeMs(catalog: Catalog, afterMs: number): number {
  let next = Number.POSITIVE_INFINITY;
  for (const { activeFromMs, activeUntilMs } of catalog.byKey.values()) {
    for (const ms of [activeFromMs, activeUntilMs]) {
      if (ms !== undefined && ms > afterMs && ms < next) next = ms;
    }
  }
  return next;
}

/** What one viewer is told: guides first, then their order. */
export function eventsFor(
  { guides, group }: ChannelChanges,
  input: {
    readonly catalog: Catalog;
    readonly channelId: string;
    readonly loaded: LoadedViewer;
    readonly nowMs: number;
    readonly force: boolean;
  },
): GuideEvent[] {
  const { catalog, loaded, nowMs, force } = input;
  const scope = viewerScope(catalog, loaded, nowMs);
  const events = guides.flatMap(({ guide, was, is }): GuideEvent[] => {
    const key = { key: guide.key };
    const isShown = is || (force && !guide.isArchived);
    if (!isShown) return was || force ? [{ event: 'guide.removed', data: { guide: key } }] : [];
    const { entry } = weigh(guide, { catalog, loaded, scope, nowMs, force });
    if (!entry) {
      return was
        ? [{ event: 'guide.updated', data: { guide: withoutContent(guide), eligible: false } }]
        : [];
    }
    const event = was || force ? 'guide.updated' : 'guide.added';
    return [{ event, data: { guide: entry, eligible: true } }];
  });
  if (!group) return events;
  const data = { guide_group: groupAnswer(catalog, input.channelId) };
  return [...events, { event: 'guide_group.updated', data }];
}

/** Who is not to see a guide gets nothing of what it says. */
function withoutContent(guide: Guide): JsonObject {
  return { ...guide.fields, active: guide.active, bypass_global_group_limit: false, steps: [] };
}

function guidesByKey(catalog: Catalog, channelId: string): Map<string, Guide> {
  return new Map((catalog.byChannel.get(channelId) ?? []).map((guide) => [guide.key, guide]));
}
