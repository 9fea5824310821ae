import { isJsonObject, type JsonObject } from '../lib/json.ts';

/** What a message is, as far as conditions ask. */
export type MessageState = {
  readonly delivery: DeliveryStatus;
  readonly seen: boolean;
  readonly read: boolean;
  readonly interacted: boolean;
  readonly linkClicked: boolean;
  readonly archived: boolean;
};

export type DeliveryStatus =
  | 'queued'
  | 'sent'
  | 'delivered'
  | 'delivery_attempted'
  | 'undelivered'
  | 'bounced'
  | 'not_sent';

/** A message that nobody has seen. */
export function newMessage(delivery: DeliveryStatus): MessageState {
  return {
    delivery,
    seen: false,
    read: false,
    interacted: false,
    linkClicked: false,
    archived: false,
  };
}

/** What may stand behind `$message.`. */
const tests: { readonly [status: string]: (state: MessageState) => boolean } = {
  undelivered: ({ delivery }) => delivery === 'undelivered',
  bounced: ({ delivery }) => delivery === 'bounced',
  delivery_attempted: ({ delivery }) => delivery === 'delivery_attempted',
  queued: ({ delivery }) => delivery === 'queued',
  not_sent: ({ delivery }) => delivery === 'not_sent',
  // Delivery goes up a ladder: who delivered it has sent it; who read it was sent it.
  sent: (state) => state.delivery === 'sent' || isDelivered(state),
  delivered: isDelivered,
  seen: isSeen,
  seen_not_read: (state) => isSeen(state) && !isRead(state),
  read: isRead,
  read_not_link_clicked: (state) => isRead(state) && !state.linkClicked,
  interacted: (state) => state.interacted || state.linkClicked,
  link_clicked: ({ linkClicked }) => linkClicked,
  archived: ({ archived }) => archived,
};

/** The names behind `$message.`; `skipped`: the step made no message. */
export const messageStatuses: readonly string[] = ['skipped', ...Object.keys(tests)];

const DELIVERY_RANKS: { readonly [status in DeliveryStatus]: number } = {
  undelivered: 1,
  bounced: 2,
  delivery_attempted: 3,
  queued: 4,
  not_sent: 5,
  sent: 6,
  delivered: 7,
};

/** `$message.read` is `read`; anything else is undefined. */
export function messageStatusArgument(argument: unknown): string | undefined {
  const match =
    typeof argument === 'string' ? /^"?\$message\.(\w+)"?$/.exec(argument.trim()) : null;
  return match?.[1];
}

/** The step that a variable such as `refs.email_1.delivery_status` asks about. */
export function messageStatusVariable(variable: string): string | undefined {
  const match =
    /^refs(?:\.([^.[\]\s"']+)|\["([^"\]]+)"\])\.(?:delivery_status|engagement_status|status)$/.exec(
      variable.trim(),
    );
  return match?.[1] ?? match?.[2];
}

/**
 * What a run finds under `refs.<step>` of a step's messages: of several the one that is highest on the ladder.
 * Undefined states are those of messages that retention has removed.
 */
export function messagesRef(states: readonly (MessageState | undefined)[]): JsonObject {
  const known = states.filter((state) => state !== undefined);
  const [first, ...others] = known;
  if (!first) return { delivery_status: null, engagement_status: [], status: null };
  const highest = others.reduce((best, state) => (rank(state) > rank(best) ? state : best), first);
  const engagement: string[] = [];
  if (highest.seen) engagement.push('seen');
  if (highest.read) engagement.push('read');
  if (highest.interacted) engagement.push('interacted');
  if (highest.linkClicked) engagement.push('link_clicked');
  if (highest.archived) engagement.push('archived');
  return {
    delivery_status: highest.delivery,
    engagement_status: engagement,
    status: highest.delivery,
  };
}

/**
 * Whether the messages of a step have a status; undefined when nobody can say, because they are gone. `ref` is what
 * the run has under `refs.<step>`.
 */
export function messageHas(ref: unknown, status: string): boolean | undefined {
  if (!isJsonObject(ref) || ref.delivery_status === undefined) return status === 'skipped';
  const delivery = DELIVERIES.find((name) => name === ref.delivery_status);
  if (!delivery) return undefined;
  const engaged = Array.isArray(ref.engagement_status) ? ref.engagement_status : [];
  const test = Object.hasOwn(tests, status) ? tests[status] : undefined;
  return (
    test?.({
      delivery,
      seen: engaged.includes('seen'),
      read: engaged.includes('read'),
      interacted: engaged.includes('interacted'),
      linkClicked: engaged.includes('link_clicked'),
      archived: engaged.includes('archived'),
    }) ?? false
  );
}

const DELIVERIES: readonly DeliveryStatus[] = [
  'queued',
  'sent',
  'delivered',
  'delivery_attempted',
  'undelivered',
  'bounced',
  'not_sent',
];

function rank(state: MessageState): number {
  if (state.archived) return 11;
  if (state.interacted || state.linkClicked) return 10;
  if (state.read) return 9;
  if (state.seen) return 8;
  return DELIVERY_RANKS[state.delivery];
}

function isRead(state: MessageState): boolean {
  return state.read || state.interacted || state.linkClicked;
}

function isSeen(state: MessageState): boolean {
  return state.seen || isRead(state);
}

function isDelivered(state: MessageState): boolean {
  return state.delivery === 'delivered' || isSeen(state);
}
