/** What the configuration says of the log store. */
export type LogStoreConfig = {
  /** `http(s)://user:password@host:8123/database`. */
  readonly url: string;
  /** Bytes that may wait for it; what is more is looked for in the tables later. */
  readonly backlogBytes: number;
  /** For how many days it keeps rows; undefined: for ever. */
  readonly retention: { readonly logs: number | undefined; readonly apiLogs: number | undefined };
};

/** What is about messages goes with them; see retention/README.md. */
export function logStoreRetention(days: {
  readonly logs: number | undefined;
  readonly messages: number | undefined;
  readonly apiLogs: number | undefined;
}): LogStoreConfig['retention'] {
  const logs = Math.min(days.logs ?? Infinity, days.messages ?? Infinity);
  return { logs: logs === Infinity ? undefined : logs, apiLogs: days.apiLogs };
}
