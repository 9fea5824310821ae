import { isRecord, type JsonRecord, requestJson, text } from '../shared/json.ts';

/** The channel types in the order in which they are offered, with what people call them. */
export const typeNames = {
  email: 'E-mail',
  in_app_feed: 'In-app',
  sms: 'SMS',
  push: 'Push',
  chat: 'Chat',
  http: 'Webhook',
} as const;

export type MessageType = keyof typeof typeNames;

export const messageTypes = Object.keys(typeNames).filter(isMessageType);

export function isMessageType(value: unknown): value is MessageType {
  return typeof value === 'string' && Object.hasOwn(typeNames, value);
}

export type MessageSummary = {
  readonly id: string;
  readonly type: MessageType;
  readonly to: string;
  readonly from: string;
  readonly title: string;
  readonly status: string;
  readonly insertedAt: string;
  /** Empty when it was not held back for a send window. */
  readonly scheduledAt: string;
  readonly account: string;
  readonly environment: string;
  readonly workflow: string;
  readonly step: string;
  readonly channel: string;
  readonly recipientId: string;
};

export type Message = MessageSummary & {
  /** As the step rendered it. */
  readonly content: JsonRecord;
  /** A chat post's markdown, as safe HTML. */
  readonly html: string;
  readonly blocks: readonly JsonRecord[];
  /** The whole answer of the server, for the JSON view. */
  readonly raw: string;
};

export type Filter = {
  readonly type: MessageType | '';
  readonly recipient: string;
  readonly workflow: string;
};

export const noFilter: Filter = { type: '', recipient: '', workflow: '' };

export type Loaded<T> =
  | { readonly kind: 'loaded'; readonly value: T }
  | { readonly kind: 'failed'; readonly message: string };

/** The filter as the query of an address; only what is set. */
export function filterQuery(filter: Filter): string {
  const set = Object.entries(filter).filter(([, value]) => value !== '');
  return set.length === 0 ? '' : `?${new URLSearchParams(set)}`;
}

/** The newest messages that match. */
export async function loadMessages(filter: Filter): Promise<Loaded<readonly MessageSummary[]>> {
  const answer = await requestJson(`/dev/messages.json${filterQuery(filter)}`);
  if (answer.kind === 'failed') return { kind: 'failed', message: answer.message };
  const entries = answer.body.entries;
  return {
    kind: 'loaded',
    value: Array.isArray(entries) ? entries.filter(isRecord).map(summary) : [],
  };
}

/** One message with its content. */
export async function loadMessage(id: string): Promise<Loaded<Message>> {
  const answer = await requestJson(`/dev/messages/${encodeURIComponent(id)}.json`);
  if (answer.kind === 'failed') return { kind: 'failed', message: answer.message };
  const { content, blocks, html } = answer.body;
  return {
    kind: 'loaded',
    value: {
      ...summary(answer.body),
      content: isRecord(content) ? content : {},
      html: text(html),
      blocks: Array.isArray(blocks) ? blocks.filter(isRecord) : [],
      raw: JSON.stringify(answer.body, null, 2),
    },
  };
}

function summary(body: JsonRecord): MessageSummary {
  return {
    id: text(body.id),
    type: isMessageType(body.type) ? body.type : 'http',
    to: text(body.to),
    from: text(body.from),
    title: text(body.title) || '(nothing to show)',
    status: text(body.status),
    insertedAt: text(body.inserted_at),
    scheduledAt: text(body.scheduled_at),
    account: text(body.account),
    environment: text(body.environment),
    workflow: text(body.workflow),
    step: text(body.step),
    channel: text(body.channel),
    recipientId: text(body.recipient_id),
  };
}
