/** Numbers of recipient run states, as `recipient_run.status` has them. */
export const RUN_STATUS = {
  queued: 0,
  processing: 1,
  paused: 2,
  completed: 3,
  cancelled: 4,
} as const;

export type RunStatus = (typeof RUN_STATUS)[keyof typeof RUN_STATUS];

/** Numbers of message delivery states, as `message.status` and `delivery.status` have them. */
export const MESSAGE_STATUS = {
  queued: 0,
  sent: 1,
  delivered: 2,
  delivery_attempted: 3,
  undelivered: 4,
  bounced: 5,
  not_sent: 6,
} as const;
