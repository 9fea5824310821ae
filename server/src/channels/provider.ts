import type { JsonObject } from '../lib/json.ts';

/** What became of an attempt to hand a message to a provider. What happens next is in the type. */
export type DeliveryOutcome =
  /** The provider has it; whether it arrives is not known. */
  | { readonly kind: 'sent'; readonly detail: JsonObject }
  /** It arrived. */
  | { readonly kind: 'delivered'; readonly detail: JsonObject }
  /** Try again, not before `afterMs` where the provider said so. */
  | {
      readonly kind: 'retry';
      readonly afterMs?: number;
      readonly code: string;
      readonly detail: JsonObject;
    }
  /** The address is bad: never try again. */
  | { readonly kind: 'bounced'; readonly code: string; readonly detail: JsonObject }
  /** Refused for good for any other reason. */
  | { readonly kind: 'rejected'; readonly code: string; readonly detail: JsonObject };

export type OutgoingMessage = {
  /** Public message id; also the idempotency key that a provider is given. */
  readonly id: string;
  readonly environmentId: number;
  readonly attempt: number;
  /** As the channel step rendered it. */
  readonly content: JsonObject;
};

/** A way out for messages of one channel type. Knows nothing of runs. */
export type Provider = {
  readonly name: string;
  /** Never throws for what the other side does; `detail` is the delivery log and holds no secret. */
  readonly deliver: (message: OutgoingMessage, signal: AbortSignal) => Promise<DeliveryOutcome>;
  readonly close: () => Promise<void>;
};
