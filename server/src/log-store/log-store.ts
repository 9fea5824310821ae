import type { PageInfo, PageRequest } from '../feed/page.ts';
import type { JsonObject } from '../lib/json.ts';
import type { RecipientKey } from '../recipients/reference.ts';

/** Which events of an environment: those whose ids have a time from `fromMs` on and before `untilMs`. */
export type EventFilter = {
  readonly environmentId: number;
  readonly fromMs: number;
  readonly untilMs: number;
  readonly recipient?: RecipientKey | undefined;
  readonly tenant?: string | undefined;
  /** Its key. */
  readonly workflow?: string | undefined;
  readonly channelId?: string | undefined;
  /** Names as in `messageEventTypes`: `sent`. */
  readonly types?: readonly string[] | undefined;
  /** UUIDs of a message and of a recipient run. */
  readonly messageId?: string | undefined;
  readonly runId?: string | undefined;
};

/** An event of a message, with facts of the message. */
export type LogEvent = {
  readonly id: string;
  readonly type: string;
  readonly insertedAt: string;
  readonly data: JsonObject | null;
  readonly messageId: string;
  readonly channelId: string;
  readonly channelType: string;
  readonly collection: string;
  readonly recipientId: string;
  readonly tenant: string | null;
  readonly workflow: string;
  readonly workflowRunId: string;
  readonly recipientRunId: string;
  readonly stepRef: string;
};

export type LogEventPage = { readonly events: readonly LogEvent[]; readonly pageInfo: PageInfo };

/** How many events of a type happened in an hour (UTC). */
export type HourCount = {
  readonly hour: string;
  readonly type: string;
  readonly count: number;
};

/** What answers searches. Every adapter answers the same; see the suite in server/test/log-store/conformance.ts. */
export type LogStore = {
  /** Newest first, by the bytes of the id. Throws `overloaded` when it would take too long. */
  readonly searchEvents: (filter: EventFilter, page: PageRequest) => Promise<LogEventPage>;
  /** Hours in which something happened, oldest first, types by name. Throws `overloaded` likewise. */
  readonly countsPerHour: (filter: EventFilter) => Promise<readonly HourCount[]>;
  readonly close: () => Promise<void>;
};

/** Tables that are shipped, by their number in `log_ring.source`. */
export const logSources = [
  'message_event',
  'recipient_run',
  'recipient_run_segment',
  'delivery',
  'api_log',
] as const;

export type LogSource = (typeof logSources)[number];

/** Rows of one source as PostgreSQL copies them out: lines with tabs between columns, whose order is that of `clickHouseTables`. */
export type LogBatch = {
  readonly source: LogSource;
  readonly lines: Buffer;
  readonly rows: number;
};

/** Whose rows are to be deleted: those whose trigger's id is below `before`. */
export type ForgottenRecipient = {
  readonly environmentId: number;
  readonly collection: string;
  readonly recipientId: string;
  readonly before: string;
};

/** What the shipper fills. */
export type LogSink = {
  /** Makes or changes the tables. Returns an id that the store keeps: another one means another, or an emptied, store. */
  readonly migrate: () => Promise<string>;
  /** Resolves when the store has it. The same token again changes nothing, nor do the same rows under another one. */
  readonly insert: (batch: LogBatch, token: string) => Promise<void>;
  /** Which of these events (UUIDs) it has. */
  readonly eventsAmong: (ids: readonly string[]) => Promise<readonly string[]>;
  /** The store's code where it failed because of what is in the rows, which its words quote: it would fail for ever. */
  readonly refusalCode: (error: unknown) => string | undefined;
  /** Whether it failed because the store is another one now, or was emptied. */
  readonly isWithoutTables: (error: unknown) => boolean;
  /** Resolves when their rows are gone. */
  readonly forget: (recipients: readonly ForgottenRecipient[]) => Promise<void>;
  readonly close: () => Promise<void>;
};
