import type { RetentionDays } from './retention-days.ts';

export type RetainedTable = {
  readonly parent: string;
  /** The column that chooses the partition. Rows may be written long after the time in it: `hasPast`. */
  readonly key: string;
  readonly hasPast: boolean;
  /** Parked runs read it: it stays while one of them needs it. */
  readonly isRead?: true;
};

/** Tables of a class, in the order in which they are dropped. */
export const classes: {
  readonly [Class in keyof RetentionDays]: readonly RetainedTable[];
} = {
  logs: [
    { parent: 'recipient_run_segment', key: 'recipient_run_id', hasPast: true },
    { parent: 'recipient_run', key: 'id', hasPast: true },
    { parent: 'message_event', key: 'id', hasPast: false },
    { parent: 'delivery', key: 'message_id', hasPast: true },
  ],
  messages: [
    { parent: 'message', key: 'id', hasPast: false },
    { parent: 'batch_activity', key: 'run_id', hasPast: true, isRead: true },
    { parent: 'workflow_run', key: 'id', hasPast: true, isRead: true },
  ],
  apiLogs: [{ parent: 'api_log', key: 'id', hasPast: false }],
  audit: [{ parent: 'quarantine_event', key: 'id', hasPast: false }],
};
