import { type ChannelType, channelTypeFromNumber } from '../channels/channel-type.ts';
import { deliveryStatusName } from '../feed/delivery-status.ts';
import { feedBlocks } from '../feed/feed-blocks.ts';
import { markdownToHtml } from '../feed/markdown.ts';
import { withoutSecrets } from '../lib/chat-connection.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { ksuidFromUuid } from '../lib/ksuid.ts';

/** A message as the viewer reads it. */
export type ShownRow = {
  readonly id: string;
  readonly environment_id: number;
  readonly account_id: number;
  readonly account: string;
  readonly environment: string;
  readonly collection: string;
  readonly recipient_id: string;
  readonly tenant: string | null;
  readonly workflow_key: string;
  readonly step_ref: string;
  readonly content: JsonObject;
  readonly inserted_at: Date;
  readonly scheduled_at: Date | null;
  readonly status: number;
  readonly channel_key: string | null;
  readonly channel_name: string | null;
  /** See `channelTypeFromNumber`. */
  readonly channel_type: number;
};

const EXCERPT = 200;

/** A line of the viewer's list. */
export function shownSummary(row: ShownRow, mailFrom: string): JsonObject {
  const type = typeOf(row);
  const { to, title } = headlines[type](row.content, row);
  return {
    id: ksuidFromUuid(row.id),
    type,
    account: row.account,
    environment: row.environment,
    workflow: row.workflow_key,
    step: row.step_ref,
    channel: row.channel_key,
    channel_name: row.channel_name,
    recipient_id: row.recipient_id,
    collection: row.collection,
    tenant: row.tenant,
    status: deliveryStatusName(row.status),
    scheduled_at: row.scheduled_at?.toISOString() ?? null,
    inserted_at: row.inserted_at.toISOString(),
    to,
    title: title.slice(0, EXCERPT),
    ...(type === 'email' ? { from: sender(row.content, mailFrom) } : {}),
  };
}

/** The message whole: what its preview needs, without what lets somebody post in a chat. */
export function shownMessage(row: ShownRow, mailFrom: string): JsonObject {
  const { sealed: _, ...content } = row.content;
  const summary = shownSummary(row, mailFrom);
  switch (typeOf(row)) {
    case 'in_app_feed':
      return { ...summary, content, blocks: JSON.parse(JSON.stringify(feedBlocks(content, null))) };
    case 'chat':
      return {
        ...summary,
        content: { ...content, connection: withoutSecrets(content.connection) },
        html: markdownToHtml(messageText(content.body)),
      };
    default:
      return { ...summary, content };
  }
}

/** A field of a message's content as text; empty when it is none. */
export function messageText(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

function typeOf(row: ShownRow): ChannelType {
  return channelTypeFromNumber(row.channel_type) ?? 'http';
}

type Headline = { readonly to: string; readonly title: string };

/** Where a message goes and what it is about, in a line each. */
const headlines: Readonly<Record<ChannelType, (content: JsonObject, row: ShownRow) => Headline>> = {
  email: (content) => ({ to: messageText(content.to), title: messageText(content.subject) }),
  in_app_feed: (content, row) => ({ to: row.recipient_id, title: lineOf(content.body) }),
  sms: (content) => ({ to: messageText(content.to), title: messageText(content.body) }),
  push: (content, row) => ({
    to: row.recipient_id,
    title: messageText(content.title) || messageText(content.body),
  }),
  chat: (content, row) => ({
    to: place(content.connection) || row.recipient_id,
    title: messageText(content.summary) || lineOf(content.body),
  }),
  http: (content) => ({
    to: messageText(content.url),
    title: `${messageText(content.method).toUpperCase()} ${messageText(content.url)}`,
  }),
};

/** Markdown as a line of plain text. */
function lineOf(markdown: Json | undefined): string {
  return markdownToHtml(messageText(markdown))
    .replace(/<[^>]*>/g, '')
    .replace(/&(lt|gt|quot|amp);/g, (_, name: string) => CHARACTERS[name] ?? '')
    .trim();
}

const CHARACTERS: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', amp: '&' };

/** The channel or person of a chat connection. */
function place(connection: Json | undefined): string {
  if (!isJsonObject(connection)) return '';
  const {
    channel_id: channel,
    user_id: user,
    user_email: email,
    ms_teams_channel_id: team,
  } = connection;
  return [channel, user, email, team].map(messageText).find((name) => name !== '') ?? '';
}

/** As a mail program would show it. */
function sender(content: JsonObject, mailFrom: string): string {
  const from = messageText(content.from) || mailFrom;
  const name = messageText(content.from_name);
  return name === '' ? from : `${name} <${/<([^<>]*)>\s*$/.exec(from)?.[1] ?? from}>`;
}
