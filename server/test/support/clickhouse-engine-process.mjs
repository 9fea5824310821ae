// The ClickHouse engine of the npm package chdb behind as much of ClickHouse's HTTP interface as its client needs.
// Arguments: the folder of the package, the folder of the data, the port (0: any). Says `ready PORT` when it listens.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { createGunzip } from 'node:zlib';

const [packageDir = '', dataDir = '', port = '0'] = process.argv.slice(2);
const { Session } = createRequire(pathToFileURL(`${packageDir}/`))('chdb');
// A session does one thing at a time; searches must not wait for inserts.
const [writing, reading] = [new Session(dataDir), new Session(dataDir)];

const NOT_SETTINGS = new Set([
  ...['query', 'database', 'user', 'password', 'query_id', 'session_id', 'session_timeout', 'role'],
  ...[
    'default_format',
    'enable_http_compression',
    'wait_end_of_query',
    'http_headers_progress_interval_ms',
  ],
  ...['send_progress_in_http_headers', 'session_check', 'compress', 'decompress', 'buffer_size'],
]);

const server = createServer(async (request, response) => {
  try {
    const url = new URL(request.url ?? '/', 'http://engine');
    if (url.pathname === '/ping') return answer(response, 200, 'Ok.\n');
    const body = await bodyOf(request);
    answer(response, 200, await run(url.searchParams, body));
  } catch (error) {
    const text = /DB::Exception/.test(error.message)
      ? error.message
      : `DB::Exception: ${error.message}`;
    const code = String(error.clickhouseCode ?? /^Code: (\d+)/.exec(text)?.[1] ?? 1002);
    response.setHeader('x-clickhouse-exception-code', code);
    answer(response, 500, `${/^Code:/.test(text) ? '' : `Code: ${code}. `}${text}\n`);
  }
});
server.listen(Number(port), '127.0.0.1', () =>
  process.stdout.write(`ready ${server.address().port}\n`),
);
// Its input ends with whoever started it.
process.stdin.on('end', () => process.exit(0)).resume();

async function bodyOf(request) {
  const stream =
    request.headers['content-encoding'] === 'gzip' ? request.pipe(createGunzip()) : request;
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

async function run(query, body) {
  const settings = [];
  const params = {};
  for (const [name, value] of query) {
    if (name.startsWith('param_')) params[name.slice('param_'.length)] = value;
    else if (!NOT_SETTINGS.has(name) && /^[a-z0-9_]+$/i.test(name)) {
      settings.push(`${name} = '${value.replace(/[\\']/g, '\\$&')}'`);
    }
  }
  const inQuery = query.get('query') ?? '';
  const clause = settings.length > 0 ? `settings ${settings.join(', ')}` : '';
  const insert = /^(\s*insert\s[\s\S]*?)\sformat\s+(\w+)\s*$/i.exec(inQuery);
  if (insert) {
    const [, statement, format] = insert;
    const text = `${statement} ${clause} format ${format}\n${body.toString()}`;
    await writing.queryAsync(text, { format: 'JSONEachRow' });
    return '';
  }
  const all = [inQuery, body.toString()].filter(Boolean).join('\n').trim();
  const [, statement = all, format = query.get('default_format') ?? 'TabSeparated'] =
    /^([\s\S]*?)\s+format\s+(\w+)\s*;?$/i.exec(all) ?? [];
  const isRead = /^(?:select|with|show|describe|explain)\s/i.test(statement);
  const session = isRead ? reading : writing;
  const hasOwn = /\ssettings\s/i.test(statement);
  const takes = isRead || /^alter\s/i.test(statement);
  const sql =
    takes && clause !== ''
      ? `${statement}${hasOwn ? ', ' : ' settings '}${settings.join(', ')}`
      : statement;
  const result =
    Object.keys(params).length > 0
      ? await session.queryBindAsync(sql, params, { format })
      : await session.queryAsync(sql, { format });
  return Buffer.from(result.bytes());
}

function answer(response, status, body) {
  response.writeHead(status, { 'content-type': 'text/plain; charset=UTF-8' });
  response.end(body);
}
