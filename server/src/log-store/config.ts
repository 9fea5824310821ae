/** What the configuration says of the log store. */
export type LogStoreConfig = {
  /** `http(s)://user:password@host:8123/database`. */
  readonly url: string;
  /** Bytes that may wait for it; what is more is looked for in the tables later. */
  readonly backlogBytes: number;
  /** For how many days it keeps rows; undefined: for ever. */
  readonly retention: { readonly logs: number | undefined; readonly apiLogs: number | undefined };
};
