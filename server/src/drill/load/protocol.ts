/** An account as a load generator plays it. */
export type Caller = {
  readonly secretKey: string;
  readonly publicKey: string;
  readonly channelId: string;
  readonly workflowKey: string;
  /** Recipients are `prefix-1` to `prefix-<users>`, in turn. */
  readonly recipientPrefix: string;
  readonly users: number;
};

export type LoadOptions = {
  readonly url: string;
  readonly callers: readonly Caller[];
  /**
   * Watch the feed of each caller's only user over a socket, and try a refused trigger again under its
   * idempotency key, as the SDKs do. Without it a refused trigger is given up.
   */
  readonly careful: boolean;
  /** False: careful, and without sockets, for callers without a feed. */
  readonly feeds?: boolean;
  readonly connections: number;
  /** Requests that are sent or wait for a connection, at the most; what falls due then is not sent. */
  readonly maxUnderWay: number;
};

/** Triggers at a fixed rate, from the callers in turn, whatever becomes of the earlier ones. */
export type LoadPhase = {
  readonly name: string;
  readonly perSecond: number;
  /** Recipients of each trigger. */
  readonly runs: number;
  /** Undefined: until it is stopped. */
  readonly seconds: number | undefined;
  readonly seed: number;
};

export type ToLoad =
  | { readonly type: 'open'; readonly options: LoadOptions }
  | { readonly type: 'run'; readonly phase: LoadPhase }
  | { readonly type: 'stop' }
  /** Complete the record of what was sent, one `RecordLine` a line as JSON. Nothing is sent afterwards. */
  | { readonly type: 'end record' };

export type FromLoad =
  | { readonly type: 'done' }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'ran'; readonly summary: LoadSummary };

export type LoadSummary = {
  readonly phase: string;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly sent: number;
  /** Due, but not sent, because too many requests were under way or this process did not get that far. */
  readonly unsent: number;
};

/** Times in milliseconds since 1970; null: it did not happen. */
export type SampleRow = readonly [
  phase: string,
  caller: number,
  dueMs: number,
  sentMs: number,
  answeredMs: number | null,
  deliveredMs: number | null,
  /** Answers other than 2xx and broken connections. */
  refusals: number,
  /** The last of them: the error's code. */
  refusedBecause: string | null,
  runs: number,
  workflowRunId: string | null,
];

/** `number` is the trigger's place among all that were sent, which its data has as `drill`. Lines come as triggers end. */
export type RecordLine = readonly [number: number, row: SampleRow];
