import { openContents } from '../bodies/open-contents.ts';
import type { BodyReader } from '../bodies/read-bodies.ts';
import type { EnvironmentContext } from '../context.ts';
import { withoutSecrets } from '../lib/chat-connection.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { ksuidFromUuid } from '../lib/ksuid.ts';
import { feedBlocks } from './feed-blocks.ts';
import {
  IN_SCOPE,
  inScope,
  type MessageScope,
  messageMissing,
  messageUuids,
  requireMessageUuid,
} from './load-messages.ts';

type ContentRow = {
  readonly id: string;
  readonly environment_id: number;
  readonly content: JsonObject;
  readonly inserted_at: Date;
  readonly channel_type: string;
  readonly template: Json;
};

/** Where contents are that are not in their messages; absent: all are. */
type WithBodies = { readonly bodies?: BodyReader | undefined };

export type MessageContents = {
  readonly __typename: 'MessageContent';
  readonly message_id: string;
  readonly inserted_at: string;
  readonly data: { readonly __typename: string; readonly [field: string]: unknown };
};

/**
 * What several messages say, in the order of the ids; unknown ids are left out. Throws `message_content_unavailable` and
 * `message_content_damaged`.
 */
export async function loadMessageContents(
  ctx: EnvironmentContext,
  input: { readonly messageIds: readonly string[] } & MessageScope & WithBodies,
): Promise<MessageContents[]> {
  const ids = messageUuids(input.messageIds);
  const rows = await ctx.db.query<ContentRow>(
    `select m.id, m.environment_id, m.content, m.inserted_at, c.type as channel_type,
  jsonb_path_query_first(
    v.content, '$.** ? (@.ref == $ref).template', jsonb_build_object('ref', m.step_ref)
  ) as template
from message m
join channel c on c.id = m.channel_id
join workflow_version v on v.id = m.version_id
where ${IN_SCOPE}`,
    inScope(ctx, input, ids),
  );
  const opened = await openContents(input.bodies, rows);
  const byId = new Map(opened.map((row) => [row.id, row]));
  return ids.flatMap((id) => {
    const row = byId.get(id);
    return row ? [contents(row)] : [];
  });
}

/** What one message says. Throws `resource_missing`, and as `loadMessageContents`. */
export async function getMessageContent(
  ctx: EnvironmentContext,
  input: { readonly messageId: string } & MessageScope & WithBodies,
): Promise<MessageContents> {
  requireMessageUuid(input.messageId);
  const [content] = await loadMessageContents(ctx, { ...input, messageIds: [input.messageId] });
  if (!content) throw messageMissing(input.messageId);
  return content;
}

function contents(row: ContentRow): MessageContents {
  return {
    __typename: 'MessageContent',
    message_id: ksuidFromUuid(row.id),
    inserted_at: row.inserted_at.toISOString(),
    data: contentData(row),
  };
}

function contentData(row: ContentRow): MessageContents['data'] {
  const { content } = row;
  if (row.channel_type === 'in_app_feed') {
    const template = isJsonObject(row.template) ? row.template : null;
    return { __typename: 'MessageInAppFeedContent', blocks: feedBlocks(content, template) };
  }
  return contentForms[row.channel_type]?.(content) ?? { ...content, __typename: 'MessageContent' };
}

/** What a channel step rendered, as the wire contract has it for each type. */
const contentForms: Readonly<Record<string, (content: JsonObject) => MessageContents['data']>> = {
  email: ({ subject, overrides: _, tracking: __, ...content }) => ({
    cc: null,
    bcc: null,
    reply_to: null,
    ...content,
    __typename: 'MessageEmailContent',
    // Null: the sender of the server's configuration.
    from: content.from ?? '',
    to: content.to ?? '',
    html_body: content.html_body ?? '',
    text_body: content.text_body ?? '',
    subject_line: subject ?? '',
  }),
  sms: ({ to, body }) => ({ __typename: 'MessageSmsContent', to: to ?? '', body: body ?? '' }),
  push: ({ token, title, body, overrides }) => ({
    __typename: 'MessagePushContent',
    token: token ?? '',
    title: title ?? '',
    body: body ?? '',
    data: isJsonObject(overrides) && isJsonObject(overrides.data) ? overrides.data : null,
  }),
  chat: ({ connection, body, json, summary }) => ({
    __typename: 'MessageChatContent',
    connection: withoutSecrets(connection),
    metadata: null,
    template: {
      blocks: typeof body === 'string' ? [{ type: 'markdown', name: 'body', content: body }] : null,
      json_content: json ?? null,
      summary: summary ?? null,
    },
  }),
  http: ({ sealed: _, ...content }) => ({ ...content, __typename: 'MessageHttpContent' }),
};
