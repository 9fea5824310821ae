import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Queryable } from '../../db/database.ts';
import { OPEN_PATH, SHORT_PATH } from '../../feed/link-tokens.ts';
import { onlyOthers, type Tracking, trackedLink, tracksLinks } from '../../feed/tracked-links.ts';
import { isJsonObject, type JsonObject } from '../../lib/json.ts';
import { withOpenPicture, withTrackedLinks } from '../../lib/track-links.ts';

/**
 * What is sent of a message: its content, with tracked links and the picture that says that it was opened where its
 * `tracking` has them on. Made when it is sent, the same for each attempt; what is kept has the links as they were
 * written.
 */
export async function trackedContent(
  tracking: Tracking | undefined,
  db: Queryable,
  message: { readonly id: string; readonly content: JsonObject; readonly isText: boolean },
): Promise<JsonObject> {
  const { id: messageUuid, content, isText } = message;
  if (!tracking || !isJsonObject(content.tracking)) return content;
  const { publicUrl, tokens } = tracking;
  let sent = content;
  if (tracksLinks(content)) {
    const short = new Map<string, string>();
    const shortLink = (url: string): string => {
      const key = tokens.shortKey({ messageUuid, url });
      short.set(key, url);
      return `${publicUrl}${SHORT_PATH}/${key}`;
    };
    const link = isText ? shortLink : trackedLink(tracking, messageUuid);
    sent = withTrackedLinks(content, onlyOthers(tracking, content, link));
    // Before it is sent: whoever has the message can open its links.
    if (short.size > 0) await keepShortLinks(db, messageUuid, short);
  }
  const token = content.tracking.opens === true ? tokens.sign({ messageUuid }) : undefined;
  return token ? withOpenPicture(sent, `${publicUrl}${OPEN_PATH}/${token}`) : sent;
}

async function keepShortLinks(
  db: Queryable,
  messageUuid: string,
  links: ReadonlyMap<string, string>,
): Promise<void> {
  await db.query(
    {
      name: 'keep_short_links',
      text: `insert into short_link (key, message_id, url)
      select link.key, link.message_id, link.url
      from unnest($1::text[], $2::uuid[], $3::text[]) as link(key, message_id, url)
      on conflict (key) do nothing`,
    },
    [
      textArray([...links.keys()]),
      plainArray([...links].map(() => messageUuid)),
      textArray([...links.values()]),
    ],
  );
}
