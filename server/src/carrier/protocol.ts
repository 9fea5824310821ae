import type { BodiesConfig } from '../bodies/config.ts';
import type { MoverState } from '../bodies/mover-state.ts';
import type { LogStoreConfig } from '../log-store/config.ts';
import type { ShipperState } from '../log-store/start-shipper.ts';

/** What the carrier needs to know at its start; a part whose store is absent is not started. */
export type CarrierOptions = {
  readonly databaseUrl: string;
  /** The database runs on this machine for us alone. */
  readonly ownsDatabase: boolean;
  readonly logLevel: string;
  readonly bodies?: BodiesConfig | undefined;
  readonly logs?: LogStoreConfig | undefined;
};

/** Server process to carrier, over the child's IPC channel. */
export type ToCarrier =
  /** The first message: not in its arguments, which every user of the machine can read. */
  | { readonly type: 'start'; readonly options: CarrierOptions }
  /** Finish or give up what is under way, then exit. */
  | { readonly type: 'stop' };

/** What becomes of a part. */
export type PartReport<State> =
  | { readonly is: 'starting' }
  /** It is tried again. */
  | { readonly is: 'failed'; readonly reason: string }
  | { readonly is: 'running'; readonly state: State };

/** Carrier to server process, once a second. */
export type FromCarrier = { readonly type: 'state'; readonly parts: CarrierParts };

export type CarrierParts = {
  readonly bodies?: PartReport<MoverState>;
  readonly logs?: PartReport<ShipperState>;
};
