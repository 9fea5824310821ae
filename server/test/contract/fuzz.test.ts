import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { JsonObject } from '../../src/lib/json.ts';
import { integer, seededRandom } from '../support/random.ts';
import { documentedOperation, errorsOf } from './openapi-document.ts';
import { hostileText, type Known, pick, spoiled, validValue } from './schema-values.ts';
import { type ServerRoute, serverRoutes } from './server-routes.ts';
import { MARK, startTwoAccounts, type TwoAccounts } from './two-accounts.ts';

const seed = Number(process.env.TEST_SEED ?? Date.now() % 1_000_000);
/** How long requests are sent; each endpoint gets one in any case. */
const SECONDS = Number(process.env.BELFRY_FUZZ_SECONDS ?? 15);
const CONCURRENT = 4;
const HEAP_BYTES = 400 * 1024 * 1024;

type Sent = {
  readonly route: ServerRoute;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
};

type Answered = { readonly status: number; readonly text: string };

let world: TwoAccounts;

beforeAll(async () => {
  world = await startTwoAccounts({ logLevel: 'error' });
});
afterAll(() => world?.stop());

test(
  'random and hostile requests are answered with documented errors, without a failure, a leak or a pile of memory',
  async () => {
    console.info(`seed ${seed}; repeat with TEST_SEED=${seed}`);
    const random = seededRandom(seed);
    // Pages and the health of the server are for everybody.
    const routes = (await serverRoutes()).filter(
      ({ access, hidden }) => access !== 'none' && !hidden,
    );
    const before = await world.ownedRows();
    const statuses = new Map<number, number>();
    const wrong: string[] = [];
    const endMs = Date.now() + SECONDS * 1_000;
    let count = 0;
    const worker = async () => {
      while ((count < routes.length || Date.now() < endMs) && wrong.length < 5) {
        const route = routes[count++ % routes.length];
        if (!route) break;
        const sent = randomRequest(route, random);
        const { status, text } = await send(sent);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        if (status >= 500 || text.includes(MARK) || isSurprise(route, { status, text })) {
          wrong.push(
            `seed ${seed}: ${sent.route.method} ${sent.path} with ${JSON.stringify(sent.headers)} and ${sent.body?.slice(0, 2_000)} answered ${status}: ${text.slice(0, 500)}`,
          );
        }
      }
    };
    await Promise.all(Array.from({ length: CONCURRENT }, worker));
    expect(wrong).toEqual([]);
    expect(await world.ownedRows()).toBe(before);
    expect(process.memoryUsage().heapUsed).toBeLessThan(HEAP_BYTES);
    // Most are refused; but a generator whose requests all are would prove nothing.
    const good = [...statuses].filter(([status]) => status < 300);
    const share = good.reduce((sum, [, times]) => sum + times, 0) / count;
    expect(share).toBeGreaterThan(0.05);
  },
  (SECONDS + 120) * 1_000,
);

/** Whether an error is one that the documentation of the route does not have. */
function isSurprise({ method, path }: ServerRoute, { status, text }: Answered): boolean {
  if (status < 400) return false;
  const { code } = JSON.parse(text);
  // An id can make the path that of nothing.
  if (code === 'not_found') return false;
  const operation = documentedOperation(`${method} ${path}`);
  return !errorsOf(operation).get(String(status))?.includes(code);
}

/** A valid request of the other account, often with something spoiled in it. */
function randomRequest(route: ServerRoute, random: () => number): Sent {
  const known: Known = { ...world.owned, ...mine, channel_id: allChannels() };
  const value = (name: string) =>
    random() < 0.8 ? pick(random, known[name] ?? ['one']) : hostileText(random);
  const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const given = value(name);
    return encodeURIComponent(typeof given === 'string' ? given.toWellFormed() : 'one') || '%20';
  });
  const query = queryOf(route, random, known);
  return {
    route,
    path: query === '' ? path : `${path}?${query}`,
    headers: headersOf(route, random),
    body: bodyOf(route, random, known),
  };
}

/** What the other account has, or would like to. */
const mine: Known = {
  workflow: ['mine', 'owned-flow'],
  user_id: ['mine', 'owned-user'],
  recipient: ['mine', { id: 'mine', name: 'Mine' }, 'owned-user'],
  page_size: ['1', '50'],
};

function allChannels(): string[] {
  return [...Object.values(world.other.channels), ...(world.owned.channel_id ?? [])].map(String);
}

function queryOf(route: ServerRoute, random: () => number, known: Known): string {
  if (!route.query || random() < 0.3) return '';
  const query = validValue(route.query, random, known) as JsonObject;
  const pairs = Object.entries(query).map(([name, value]) => {
    const given = random() < 0.3 ? hostileText(random) : value;
    const text = typeof given === 'object' ? JSON.stringify(given) : String(given);
    const style = pick(random, ['', '', '[]', '[0]', '[gt]', '.gte', '[a][b][c][d][e][f]']);
    return `${name}${style}=${encodeURIComponent(text.toWellFormed()).slice(0, 6_000)}`;
  });
  return random() < 0.1 ? [...pairs, ...pairs, '%zz'].join('&') : pairs.join('&');
}

function headersOf(route: ServerRoute, random: () => number): Record<string, string> {
  const key = {
    none: '',
    secret: world.other.secret,
    public: random() < 0.5 ? world.other.secret : world.other.public,
    service: world.other.service,
    // What the operator may do is not a matter of accounts: without the right it is nothing.
    operator: world.other.secret,
  }[route.access];
  const bearer =
    random() < 0.95 ? `Bearer ${key}` : pick(random, ['', 'Bearer', 'Basic x', 'Bearer sk_x']);
  return {
    authorization: bearer,
    'content-type': random() < 0.95 ? 'application/json' : pick(random, contentTypes),
    ...(random() < 0.1 ? { 'idempotency-key': pick(random, ['', 'same', 'k'.repeat(300)]) } : {}),
    ...(random() < 0.03 ? { 'x-knock-branch': 'other' } : {}),
    ...(random() < 0.03 ? { 'x-knock-user-token': 'a.b.c' } : {}),
  };
}

const contentTypes = [
  'text/plain',
  'application/xml',
  'multipart/form-data; boundary=x',
  'application/json; charset=utf-16',
  'x',
];

function bodyOf(route: ServerRoute, random: () => number, known: Known): string | undefined {
  if (route.method === 'GET') return undefined;
  if (random() < 0.05) return pick(random, badTexts);
  if (!route.body) return random() < 0.5 ? undefined : '{}';
  let body = validValue(route.body, random, known);
  for (let times = integer(random, -2, 3); times > 0; times--) body = spoiled(body, random);
  return JSON.stringify(body);
}

const badTexts = [
  '',
  ' ',
  '{',
  '{"a":1,}',
  'null',
  '[]',
  '1',
  '"text"',
  '{"a":"\\ud800"}',
  '{"a":"\\u0000"}',
  '{"__proto__":{"x":1}}',
  '{"id":1,"id":2}',
  '['.repeat(100_000),
  `{"a":"${'x'.repeat(1_000_000)}"}`,
  `[${'{},'.repeat(50_000)}{}]`,
];

/** Sent as it is: `fetch` would refuse bodies of some methods. */
function send({ route, path, headers, body }: Sent): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      `${world.url}${path}`,
      {
        method: route.method,
        headers: {
          ...headers,
          ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
        },
      },
      (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString() }),
        );
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}
