import type { JsonObject } from '../lib/json.ts';
import { isJsonObject } from '../lib/json.ts';
import { type LinkFor, withTrackedLinks } from '../lib/track-links.ts';
import { PREFERENCES_PATH } from '../recipients/preference-center.ts';
import { UNSUBSCRIBE_PATH } from '../recipients/unsubscribe.ts';
import { CLICK_PATH, type LinkTokens, OPEN_PATH, SHORT_PATH } from './link-tokens.ts';

/** How links of messages are tracked. */
export type Tracking = { readonly publicUrl: string; readonly tokens: LinkTokens };

/** Whether a message's step, or else its channel, has the tracking of links on. */
export function tracksLinks({ tracking }: JsonObject): boolean {
  return isJsonObject(tracking) && tracking.links === true;
}

/** A URL on this server in place of a link of a message. */
export function trackedLink(
  { publicUrl, tokens }: Tracking,
  messageUuid: string,
): (url: string) => string | undefined {
  return (url) => {
    const token = tokens.sign({ messageUuid, url });
    return token && `${publicUrl}${CLICK_PATH}/${token}`;
  };
}

/** Without links that are never tracked: those to unsubscribe or change preferences, and to the server's other tracked links. */
export function onlyOthers(
  { publicUrl }: Tracking,
  { unsubscribe_url: unsubscribe }: JsonObject,
  linkFor: LinkFor,
): LinkFor {
  const own = [UNSUBSCRIBE_PATH, PREFERENCES_PATH, CLICK_PATH, OPEN_PATH, SHORT_PATH].map(
    (path) => `${publicUrl}${path}/`,
  );
  return (url) => {
    const isOwn = url === unsubscribe || own.some((beginning) => url.startsWith(beginning));
    return isOwn || !URL.canParse(url) ? undefined : linkFor(url);
  };
}

/** What a feed shows of a message, with tracked links where they are on. */
export function trackedFeedContent(
  tracking: Tracking | undefined,
  messageUuid: string,
  content: JsonObject,
): JsonObject {
  if (!tracking || !tracksLinks(content)) return content;
  const linkFor = onlyOthers(tracking, content, trackedLink(tracking, messageUuid));
  return withTrackedLinks(content, linkFor);
}
