import type { JsonObject } from '../../lib/json.ts';

/**
 * What a step says of tracking, as a message's content keeps it: `{links?, opens?}`. Undefined where it leaves that to
 * the channel.
 */
export function trackingOf(overrides: JsonObject): JsonObject | undefined {
  const { link_tracking: links, open_tracking: opens } = overrides;
  const tracking = {
    ...(typeof links === 'boolean' ? { links } : {}),
    ...(typeof opens === 'boolean' ? { opens } : {}),
  };
  return Object.keys(tracking).length > 0 ? tracking : undefined;
}
