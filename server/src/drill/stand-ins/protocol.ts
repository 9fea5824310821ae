import type { Counters } from './counters.ts';
import type { Faults } from './faults.ts';
import type { LogStoreOptions, TableCounts } from './log-store.ts';
import type { Arrival } from './mail-sink.ts';
import type { ObjectStoreOptions } from './object-store.ts';

/** What of the options goes over to another process: everything but clock and randomness. */
type Sent<Options> = Omit<Options, 'nowMs' | 'random'>;

/** One of these first, then any of the rest. */
export type StandInRequest =
  | { readonly type: 'object-store'; readonly options: Sent<ObjectStoreOptions> }
  | { readonly type: 'log-store'; readonly options: Sent<LogStoreOptions> }
  | { readonly type: 'mail-sink' }
  | { readonly type: 'faults'; readonly faults: Partial<Faults> }
  | { readonly type: 'counters' }
  | { readonly type: 'tables' }
  | { readonly type: 'missing'; readonly table: string; readonly ids: readonly string[] }
  | { readonly type: 'arrivals' };

export type ToStandIn = { readonly number: number; readonly request: StandInRequest };

export type StandInAnswer =
  | { readonly type: 'open'; readonly url: string }
  | { readonly type: 'done' }
  | { readonly type: 'counters'; readonly counters: Counters }
  | { readonly type: 'tables'; readonly tables: Readonly<Record<string, TableCounts>> }
  | { readonly type: 'missing'; readonly missing: number }
  | { readonly type: 'arrivals'; readonly arrivals: readonly Arrival[] }
  | { readonly type: 'failed'; readonly reason: string };

export type FromStandIn = { readonly number: number; readonly answer: StandInAnswer };
