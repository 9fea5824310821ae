import type { JsonObject } from '../lib/json.ts';
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
  readonly settings: { readonly sandbox_mode?: boolean; readonly skip_delay?: boolean };
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
  /** What the latest check of the ledger found, if there was one. */
  readonly ledger?: () => LedgerCheck | undefined;
};

/** A feed that got a new message. */
export type FeedChange = {
  readonly environmentId: number;
  readonly channelId: string;
  readonly userId: string;
};
