/**
 * The events that webhooks tell of: the name on the wire, and `webhook_delivery.type`. Those of messages have the
 * numbers of `message_event.type`, in which not all are told.
 */
export const webhookEventTypes = {
  'message.sent': 3,
  'message.delivered': 5,
  'message.delivery_attempted': 6,
  'message.undelivered': 7,
  'message.bounced': 8,
  'message.seen': 9,
  'message.unseen': 10,
  'message.read': 11,
  'message.unread': 12,
  'message.interacted': 13,
  'message.link_clicked': 14,
  'message.archived': 15,
  'message.unarchived': 16,
  'workflow_recipient_run.started': 32,
  'workflow_recipient_run.completed': 33,
  'workflow_recipient_run.error': 34,
  'workflow.updated': 48,
  'workflow.committed': 49,
  'email_layout.updated': 50,
  'email_layout.committed': 51,
  'translation.updated': 52,
  'translation.committed': 53,
  'source_event_action.updated': 54,
  'source_event_action.committed': 55,
  'partial.updated': 56,
  'partial.committed': 57,
} as const;

export type WebhookEventType = keyof typeof webhookEventTypes;

const names = new Map<number, WebhookEventType>(
  (Object.keys(webhookEventTypes) as WebhookEventType[]).map((name) => [
    webhookEventTypes[name],
    name,
  ]),
);

/** The name of a number; undefined for one that no event has. */
export function webhookEventName(type: number): WebhookEventType | undefined {
  return names.get(type);
}

export function isWebhookEventType(name: string): name is WebhookEventType {
  return Object.hasOwn(webhookEventTypes, name);
}
