import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client';

const REQUEST_MS = 30_000;

export type ClickHouse = {
  /** A statement without an answer. */
  readonly command: (query: string, settings?: ClickHouseSettings) => Promise<void>;
  readonly rows: <Row>(
    query: string,
    params?: Readonly<Record<string, unknown>>,
    settings?: ClickHouseSettings,
  ) => Promise<readonly Row[]>;
  /** An insert whose rows are text of its format. */
  readonly insert: (
    query: string,
    text: string | Buffer,
    settings: ClickHouseSettings,
  ) => Promise<void>;
  readonly close: () => Promise<void>;
};

/** `url` is `http(s)://user:password@host:8123/database`. Loads the client. */
export async function connectClickHouse(
  url: string,
  options: { readonly requestMs?: number; readonly connections?: number } = {},
): Promise<ClickHouse> {
  const { createClient } = await import('@clickhouse/client');
  const { Readable } = await import('node:stream');
  const { host, username, password, database } = readLogStoreUrl(url);
  const client: ClickHouseClient = createClient({
    url: host,
    username,
    password,
    database,
    request_timeout: options.requestMs ?? REQUEST_MS,
    max_open_connections: options.connections ?? 2,
    application: 'belfry',
    // Whoever calls decides what a failure means.
    log: { level: 127 },
  });
  return {
    command: async (query, settings) => {
      await client.command({ query, ...(settings ? { clickhouse_settings: settings } : {}) });
    },
    rows: async (query, params, settings) => {
      const answer = await client.query({
        query,
        format: 'JSONEachRow',
        ...(params ? { query_params: { ...params } } : {}),
        ...(settings ? { clickhouse_settings: settings } : {}),
      });
      return answer.json();
    },
    insert: async (query, text, settings) => {
      const { stream } = await client.exec({
        query,
        values: Readable.from([text], { objectMode: false }),
        clickhouse_settings: settings,
      });
      // The socket is free when all of the answer is read.
      for await (const _ of stream);
    },
    close: () => client.close(),
  };
}

/** What failed, without the words of ClickHouse: those may quote what was searched for. */
export function failureOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const { name } = error;
  if ('code' in error) return `${'type' in error ? error.type : name} (${error.code})`;
  return name === 'Error' ? error.message : name;
}

/** The parts of BELFRY_LOG_STORE. */
export function readLogStoreUrl(text: string): {
  readonly host: string;
  readonly username: string;
  readonly password: string;
  readonly database: string;
} {
  const url = new URL(text);
  return {
    host: url.origin,
    username: decodeURIComponent(url.username) || 'default',
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)) || 'default',
  };
}
