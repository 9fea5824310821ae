import type { JsonObject } from '../lib/json.ts';
import type { NewOperation } from '../operations/new-operation.ts';
import type { TriggerSettings } from '../workflows/step.ts';
import type { LedgerCheck } from './ledger/ledger.ts';

/** A user id, or an object. */
export type RecipientReference = string | { readonly id: string; readonly collection: string };

export type TriggerRequest = {
  readonly environmentId: number;
  /** The key it came with, if one did. */
  readonly apiKeyId?: number;
  readonly workflowKey: string;
  /** The published version that will run. */
  readonly versionId: number;
  /** 1 to 1,000, without duplicates, already identified. */
  readonly recipients: readonly TriggerRecipient[];
  readonly actor: RecipientReference | null;
  readonly tenant: string | null;
  readonly data: JsonObject;
  readonly cancellationKey: string | null;
  /** False: objects among the recipients get it without those who subscribe to them. */
  readonly fanOut?: boolean;
  readonly settings: TriggerSettings;
  readonly idempotency?: {
    readonly key: string;
    /** sha-256 of the parameters; another one under the same key is a conflict. */
    readonly requestHash: Buffer;
    readonly requestId: string;
  };
};

export type TriggerRecipient = {
  readonly recipient: RecipientReference;
  /** Merged into this recipient's `data`. */
  readonly data?: JsonObject;
};

export type TriggerAnswer =
  | { readonly kind: 'accepted'; readonly workflowRunId: string }
  /** The same request was accepted before. */
  | {
      readonly kind: 'replayed';
      readonly workflowRunId: string;
      readonly originalRequestId: string;
    }
  /** The key was used with other parameters. */
  | { readonly kind: 'conflict' };

export type CancelRequest = {
  readonly environmentId: number;
  readonly workflowKey: string;
  readonly cancellationKey: string;
  /** Absent: everybody. */
  readonly recipients?: readonly RecipientReference[];
};

/** The engine's front door. */
export type Engine = {
  /** Resolves after the commit that makes the trigger durable. */
  readonly trigger: (request: TriggerRequest) => Promise<TriggerAnswer>;
  /** Weights and slots of accounts or environments were changed: they count from now on. */
  readonly reloadShares?: () => Promise<void>;
  readonly cancel: (request: CancelRequest) => Promise<void>;
  /** Resolves after the commit that makes the bulk operation durable; its work begins then. */
  readonly operate?: (operation: NewOperation) => Promise<void>;
  /** What a channel step renders. */
  readonly preview?: (request: PreviewRequest) => Promise<PreviewAnswer>;
  /** What the latest check of the ledger found, if there was one. */
  readonly ledger?: () => LedgerCheck | undefined;
  /** What operators want to happen with queued work. */
  readonly orders?: Orders;
};

export type PreviewRequest = {
  readonly environmentId: number;
  readonly workflowKey: string;
  readonly versionId: number;
  readonly stepRef: string;
  readonly recipient: RecipientReference;
  /** In place of the stored ones of the same name. */
  readonly properties: JsonObject;
  readonly actor: RecipientReference | null;
  readonly tenant: string | null;
  readonly data: JsonObject;
};

export type PreviewAnswer =
  | {
      readonly kind: 'rendered';
      readonly messages: readonly { readonly channelType: string; readonly content: JsonObject }[];
    }
  | { readonly kind: 'error'; readonly reason: string }
  /** The step sends nothing. */
  | { readonly kind: 'no_message' }
  | { readonly kind: 'missing' };

/** Which work an order is about; what is absent is any. At least an account, an environment or a key. */
export type OrderScope = {
  readonly accountId?: number;
  readonly environmentId?: number;
  readonly apiKeyId?: number;
  readonly workflow?: string;
  readonly tenant?: string;
  /** Accepted at this time or later. */
  readonly acceptedFrom?: Date;
  /** Accepted before this time. */
  readonly acceptedBefore?: Date;
};

/** hold: nothing starts; slow: so many runs a second start; discard: what was accepted before is not done. */
export type OrderVerb = 'hold' | 'slow' | 'discard';

export type Order = {
  readonly id: number;
  readonly verb: OrderVerb;
  readonly scope: OrderScope;
  readonly author: string;
  readonly reason: string;
  readonly createdAt: Date;
  /** When a hold or slow ends by itself, and the data of a discard is dropped. */
  readonly expiresAt: Date | null;
  /** Of a slow. */
  readonly runsPerSecond: number | null;
  readonly endedAt: Date | null;
  readonly endedBy: string | null;
  readonly endReason: string | null;
  /** When the data of a discard was dropped: it cannot be replayed any more. */
  readonly droppedAt: Date | null;
};

export type OrderSample = {
  readonly runId: string;
  readonly workflow: string;
  readonly tenant: string | null;
  readonly recipient: RecipientReference;
  readonly acceptedAt: Date;
};

/** Queued work of a scope. */
export type OrderCounts = {
  readonly runs: number;
  readonly deliveries: number;
  /** Not all of it was read: the numbers are extrapolated. */
  readonly estimated: boolean;
  readonly oldest: Date | null;
  readonly samples: readonly OrderSample[];
};

/** A run that was set aside, as it is exported. */
export type ExportedRun = {
  readonly run_id: string;
  /** Of a delivery: its message; its run is done. */
  readonly message_id?: string;
  readonly workflow: string;
  readonly tenant: string | null;
  readonly recipient: RecipientReference;
  readonly actor: RecipientReference | null;
  /** As the run sees it, its recipient's own data merged in. */
  readonly data: JsonObject;
  readonly accepted_at: string;
};

export type GiveOrder = {
  readonly verb: OrderVerb;
  readonly scope: OrderScope;
  readonly author: string;
  readonly reason: string;
  readonly expiresAt?: Date | null;
  readonly runsPerSecond?: number | null;
};

/** Verbs on queued work. */
export type Orders = {
  readonly preview: (scope: OrderScope) => Promise<OrderCounts>;
  /**
   * Answers when nothing of the scope can start any more (of a slow: but at its rate). What it concerned is null
   * when it could not be counted within two seconds: nobody waits for that.
   */
  readonly give: (input: GiveOrder) => Promise<Order & { readonly concerned: OrderCounts | null }>;
  /** Releases what a hold or slow set aside, or replays what was discarded: with the same run ids, once. */
  readonly end: (
    id: number,
    input: { readonly author: string; readonly reason: string },
  ) => Promise<Order>;
  /** The newest first. */
  readonly list: (input: { readonly active?: boolean; readonly limit: number }) => Promise<Order[]>;
  /** With what is set aside now. */
  readonly get: (
    id: number,
  ) => Promise<Order & { readonly aside: { readonly runs: number; readonly deliveries: number } }>;
  /** What an active order set aside, in pages. Waits for what is on its way there. */
  readonly export: (id: number) => AsyncIterable<ExportedRun>;
};

/** A feed that got a new message. */
export type FeedChange = {
  readonly environmentId: number;
  readonly channelId: string;
  readonly userId: string;
};
