import type { IncomingMessage } from 'node:http';
import { pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { ClickHouseError } from './clickhouse-error.ts';
import { createIdSet, type IdSet } from './id-set.ts';
import { type Answer, readAll, type Stand, serveStand } from './serve.ts';

const MOST_QUERY_BYTES = 1_000_000;
/** Tables with no more rows than this, all as JSON, keep them: a client finds its own notes again. */
const MOST_KEPT_ROWS = 200;
const NEWLINE = 10;
const TAB = 9;
const UUIDS = /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g;

export type LogStoreOptions = {
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** What `version()` answers. */
  readonly version: string;
  /** 0: any that is free. */
  readonly port?: number;
  /** Its clock; milliseconds since 1970. */
  readonly nowMs: () => number;
  /** From 0 to below 1; decides which requests meet a fault. */
  readonly random: () => number;
};

export type TableCounts = {
  /** Rows that came, batches that were de-duplicated not counted. */
  readonly rows: number;
  /** Different ids among them. */
  readonly distinct: number;
  readonly inserts: number;
  /** Inserts whose `insert_deduplication_token` was there already. */
  readonly repeatedInserts: number;
};

export type LogStoreStandIn = Stand & {
  readonly tables: () => Readonly<Record<string, TableCounts>>;
  /** How many of these ids never came. */
  readonly missing: (table: string, ids: readonly string[]) => number;
};

type Table = {
  readonly ids: IdSet;
  readonly tokens: Set<string>;
  /** While it is small. */
  kept: string[];
  rows: number;
  inserts: number;
  repeatedInserts: number;
};

/**
 * Speaks as much of ClickHouse's HTTP interface as a client that ships rows needs: ping, DDL (taken as it is),
 * INSERT in JSONEachRow or TabSeparated with de-duplication by token, which of some ids a table has, and
 * `select *` of tables that are small. Of the rows it
 * keeps their ids only, which is what a drill asks: did each come, and did it count once.
 */
export async function startLogStore(options: LogStoreOptions): Promise<LogStoreStandIn> {
  const tables = new Map<string, Table>();
  const answer = async (request: IncomingMessage): Promise<Answer> => {
    try {
      return await serve(options, tables, request);
    } catch (error) {
      if (!(error instanceof ClickHouseError)) throw error;
      return errorAnswer(error, options.version, request);
    }
  };
  const stand = await serveStand({
    port: options.port ?? 0,
    nowMs: options.nowMs,
    random: options.random,
    answer,
    refusal: (kind, request) =>
      errorAnswer(
        kind === 'slow_down'
          ? new ClickHouseError('TOO_MANY_SIMULTANEOUS_QUERIES', 'Too many simultaneous queries')
          : new ClickHouseError('MEMORY_LIMIT_EXCEEDED', 'Memory limit (total) exceeded'),
        options.version,
        request,
      ),
  });
  return {
    ...stand,
    tables: () =>
      Object.fromEntries(
        [...tables].map(([name, { ids, rows, inserts, repeatedInserts }]) => [
          name,
          { rows, distinct: ids.size(), inserts, repeatedInserts },
        ]),
      ),
    missing: (table, ids) => {
      const found = tables.get(table);
      return found ? ids.filter((id) => !found.ids.has(id)).length : ids.length;
    },
  };
}

function errorAnswer(error: ClickHouseError, version: string, request: IncomingMessage): Answer {
  request.resume();
  return {
    status: error.status,
    headers: { 'x-clickhouse-exception-code': String(error.number) },
    body: Buffer.from(error.text(version)),
  };
}

async function serve(
  options: LogStoreOptions,
  tables: Map<string, Table>,
  request: IncomingMessage,
): Promise<Answer> {
  const url = new URL(request.url ?? '/', 'http://stand-in');
  if (url.pathname === '/ping') return { status: 200, body: Buffer.from('Ok.\n') };
  checkAccess(options, request, url.searchParams);
  const body = request.headers['content-encoding'] === 'gzip' ? unzipped(request) : request;
  const inQuery = url.searchParams.get('query');
  if (inQuery !== null && /^\s*insert\s/i.test(inQuery)) {
    return await insert(tables, inQuery, url.searchParams, body);
  }
  const inBody = (await readAll(body, MOST_QUERY_BYTES)).toString();
  const sql = [inQuery, inBody].filter(Boolean).join('\n').trim();
  return runQuery(options, tables, withParameters(sql, url.searchParams));
}

function checkAccess(
  options: LogStoreOptions,
  request: IncomingMessage,
  query: URLSearchParams,
): void {
  const expected = `Basic ${Buffer.from(`${options.user}:${options.password}`).toString('base64')}`;
  if (request.headers.authorization !== expected) {
    throw new ClickHouseError(
      'AUTHENTICATION_FAILED',
      `${options.user}: Authentication failed: password is incorrect, or there is no user with such name.`,
    );
  }
  const database = query.get('database') ?? options.database;
  if (database !== options.database) {
    throw new ClickHouseError('UNKNOWN_DATABASE', `Database ${database} does not exist.`);
  }
}

/** `{ids:Array(UUID)}` becomes the parameter's text. */
function withParameters(sql: string, parameters: URLSearchParams): string {
  return sql.replaceAll(
    /\{(\w+):[^}]*\}/g,
    (whole, name: string) => parameters.get(`param_${name}`) ?? whole,
  );
}

function unzipped(request: IncomingMessage): Readable {
  // Its failure is that of whoever reads.
  return pipeline(request, createGunzip(), () => {});
}

async function insert(
  tables: Map<string, Table>,
  query: string,
  parameters: URLSearchParams,
  body: Readable,
): Promise<Answer> {
  const [, name = '', columns = '', format = ''] =
    /^\s*insert\s+into\s+(\S+?)\s*(?:\(([^)]*)\))?\s*format\s+(\w+)\s*$/i.exec(query) ?? [];
  const table = tables.get(nameOf(name));
  if (!table) throw new ClickHouseError('UNKNOWN_TABLE', `Table ${name} does not exist.`);
  const idOf = idReader(format, columns);
  const isKept = format === 'JSONEachRow';
  const lines: string[] = [];
  const ids: string[] = [];
  await eachLine(body, (bytes, start, end) => {
    ids.push(idOf(bytes, start, end));
    if (isKept && lines.length < MOST_KEPT_ROWS) lines.push(bytes.toString('utf8', start, end));
  });
  // Only now: a body that breaks off inserts nothing.
  const token = parameters.get('insert_deduplication_token');
  if (token !== null && table.tokens.has(token)) {
    table.repeatedInserts += 1;
    return written(0);
  }
  if (token !== null) table.tokens.add(token);
  table.inserts += 1;
  table.rows += ids.length;
  for (const id of ids) table.ids.add(id);
  table.kept = table.rows > MOST_KEPT_ROWS ? [] : [...table.kept, ...lines];
  return written(ids.length);
}

type TakeLine<Result> = (bytes: Buffer, start: number, end: number) => Result;

/** Hands over where the lines that are not empty begin and end; rejects when the stream breaks off. */
async function eachLine(stream: Readable, take: TakeLine<void>): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const part of stream as AsyncIterable<Buffer>) {
    const bytes = rest.length === 0 ? part : Buffer.concat([rest, part]);
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      if (end > start) take(bytes, start, end);
      start = end + 1;
    }
    rest = bytes.subarray(start);
  }
  if (rest.length > 0) take(rest, 0, rest.length);
}

function written(rows: number): Answer {
  const summary = { written_rows: String(rows), read_rows: '0', result_rows: String(rows) };
  return {
    status: 200,
    headers: { 'x-clickhouse-summary': JSON.stringify(summary) },
    body: Buffer.alloc(0),
  };
}

/** How a row of a format tells its `id`. Nothing is parsed that need not be. */
function idReader(format: string, columns: string): TakeLine<string> {
  switch (format) {
    case 'JSONEachRow':
      return (bytes, start, end) => {
        const line = bytes.toString('utf8', start, end);
        return /"id":"([^"\\]+)"/.exec(line)?.[1] ?? line;
      };
    case 'TabSeparated': {
      const names = columns.split(',').map(nameOf);
      const position = names.findIndex((name) => name === 'id' || name === 'message_id');
      if (position === -1) throw new ClickHouseError('SYNTAX_ERROR', 'The columns name no id.');
      return (bytes, start, end) => {
        let from = start;
        for (let column = 0; column < position; column++) {
          from = bytes.indexOf(TAB, from) + 1;
          if (from === 0 || from > end) throw tooFewColumns();
        }
        const to = bytes.indexOf(TAB, from);
        return bytes.toString('latin1', from, to === -1 || to > end ? end : to);
      };
    }
    default:
      throw new ClickHouseError('SYNTAX_ERROR', `The stand-in does not read ${format}.`);
  }
}

function tooFewColumns(): ClickHouseError {
  return new ClickHouseError('SYNTAX_ERROR', 'A row has too few columns.');
}

function runQuery(options: LogStoreOptions, tables: Map<string, Table>, sql: string): Answer {
  const [, statement = sql, format = 'JSONEachRow'] =
    /^(.*?)\s+format\s+(\w+);?$/is.exec(sql) ?? [];
  const created = /^create\s+table\s+(?:if\s+not\s+exists\s+)?(\S+)/i.exec(statement)?.[1];
  if (created !== undefined) {
    const name = nameOf(created);
    if (!tables.has(name)) tables.set(name, emptyTable());
    return { status: 200, body: Buffer.alloc(0) };
  }
  if (/^(?:create|alter|drop|optimize|system|set)\s/i.test(statement)) {
    return { status: 200, body: Buffer.alloc(0) };
  }
  return rowsAnswer(select(options, tables, statement), format);
}

function emptyTable(): Table {
  return {
    ...{ ids: createIdSet(), tokens: new Set<string>(), kept: [] },
    ...{ rows: 0, inserts: 0, repeatedInserts: 0 },
  };
}

function select(
  options: LogStoreOptions,
  tables: Map<string, Table>,
  statement: string,
): readonly unknown[] {
  if (/^select\s+(?:1|'ping')\s*$/i.test(statement)) return [{ 1: 1 }];
  const version = /^select\s+version\(\)(?:\s+as\s+(\w+))?/i.exec(statement);
  if (version) {
    const now = Math.floor(options.nowMs() / 1_000);
    return [{ [version[1] ?? 'version()']: options.version, now }];
  }
  const from = /\sfrom\s+(\S+)/i.exec(statement)?.[1];
  const table = from === undefined ? undefined : tables.get(nameOf(from));
  const asked = statement.match(UUIDS);
  if (table && asked) return asked.filter((id) => table.ids.has(id)).map((id) => ({ id }));
  if (!table || table.kept.length < table.rows) {
    throw new ClickHouseError('SYNTAX_ERROR', `The stand-in cannot answer: ${statement}`);
  }
  return table.kept.map((line) => JSON.parse(line));
}

function rowsAnswer(rows: readonly unknown[], format: string): Answer {
  const text =
    format === 'JSON'
      ? JSON.stringify({ meta: [], data: rows, rows: rows.length })
      : rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  return {
    status: 200,
    headers: { 'content-type': 'application/json', 'x-clickhouse-format': format },
    body: Buffer.from(text),
  };
}

/** Without quotes and database: `` `belfry`.`event` `` is `event`. */
function nameOf(text: string): string {
  return (
    text
      .replaceAll(/[`"();]/g, '')
      .split('.')
      .at(-1) ?? ''
  ).trim();
}
