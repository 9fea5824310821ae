/** `message_event.type`, and the name of the event on the wire. */
export const messageEventTypes = {
  created: 1,
  queued: 2,
  sent: 3,
  not_sent: 4,
  delivered: 5,
  delivery_attempted: 6,
  undelivered: 7,
  bounced: 8,
  seen: 9,
  unseen: 10,
  read: 11,
  unread: 12,
  interacted: 13,
  link_clicked: 14,
  archived: 15,
  unarchived: 16,
} as const;

/** The names in SQL, by type. */
export const messageEventNames = `array[${Object.keys(messageEventTypes)
  .map((name) => `'${name}'`)
  .join(', ')}]`;

const names = new Map<number, string>(
  Object.entries(messageEventTypes).map(([name, type]) => [type, name]),
);

/** `message.read` for 11. */
export function messageEventName(type: number): string {
  return `message.${names.get(type) ?? 'created'}`;
}
