import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Json, JsonObject } from '../../src/lib/json.ts';
import { ksuidFromUuid, uuidFromKsuid } from '../../src/lib/ksuid.ts';
import { feedStep } from '../support/engine-world.ts';
import { documentedOperation, errorsOf } from './openapi-document.ts';
import { type Known, pick, validValue } from './schema-values.ts';
import { type ServerRoute, serverRoutes } from './server-routes.ts';
import { MARK, startTwoAccounts, type TwoAccounts } from './two-accounts.ts';

// Every endpoint, asked with the key of one account for what another account has. Each must answer as it does for ids
// that nobody has: most with 404, lists and batches with nothing, and what makes things by making its own.

let world: TwoAccounts;
let before: string;

// What makes things comes last, so that nothing is found because it was just made.
const ORDER = ['GET', 'DELETE', 'PUT', 'PATCH', 'POST'];
const routes = (await serverRoutes())
  .filter(({ access }) => ['secret', 'public', 'granted', 'service'].includes(access))
  .filter(({ hidden }) => !hidden)
  .sort((left, right) => ORDER.indexOf(left.method) - ORDER.indexOf(right.method));

beforeAll(async () => {
  world = await startTwoAccounts();
  before = await world.ownedRows();
});
afterAll(() => world?.stop());

test.each(routes.map((route) => [`${route.method} ${route.path}`, route] as const))(
  '%s answers for what another account has as for what nobody has',
  async (_, route) => {
    const owned = await ask(route, world.owned);
    const nobodys = await ask(route, strange(world.owned));
    expect(owned.text).not.toContain(MARK);
    expect(plain(owned)).toEqual(plain(nobodys));
    expectDocumented(route, nobodys);
    // A request that is refused for its form proves nothing; a channel of nobody is 422 in the contract.
    if (owned.status === 422) expect(owned.text).toContain('"code":"channel_invalid"');
    if (
      route.method === 'GET' &&
      /(?:user|object|tenant|message|channel)_id\}$|\/\{id\}$/.test(route.path)
    ) {
      expect([404, 422]).toContain(owned.status);
    }
  },
);

test('nothing of the account that was asked for has changed', async () => {
  expect(await world.ownedRows()).toBe(before);
});

/** That something is not there is an error of a route if and only if its documentation says so. */
function expectDocumented({ method, path, query }: ServerRoute, { status, text }: Answer): void {
  const operation = documentedOperation(`${method} ${path}`);
  const hasEnvironment = JSON.stringify(query ?? {}).includes('"environment"');
  const code = status < 400 ? undefined : JSON.parse(text).code;
  if (code !== undefined) expect(errorsOf(operation).get(String(status))).toContain(code);
  // Others may have made it by now; an environment may be missing too.
  if ((method !== 'GET' && method !== 'DELETE') || hasEnvironment) return;
  const documented = errorsOf(operation).get('404') ?? [];
  const absent = documented.filter((each) => each !== 'branch_missing');
  if (code !== 'channel_invalid') expect(absent).toEqual(code === undefined ? [] : [code]);
}

type Answer = { readonly status: number; readonly text: string };

/** A valid request with the key of one account, and ids. */
async function ask(route: ServerRoute, ids: Known): Promise<Answer> {
  const known = { ...ids, ...fixed, ...narrowed(route, ids) };
  const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(pick(always, known[name] ?? ['owned']))),
  );
  const body =
    route.method === 'GET' || !route.body
      ? undefined
      : (bodies(ids)[`${route.method} ${route.path}`] ??
        validValue(route.body, chooser(route), known));
  const query = queryOf(route, known);
  const response = await fetch(`${world.url}${path}${query === '' ? '' : `?${query}`}`, {
    method: route.method,
    headers: {
      authorization: `Bearer ${route.access === 'service' ? world.other.service : world.other.secret}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, text: await response.text() };
}

/** Takes the middle of what is known, and leaves out what is optional. */
const always = () => 0.6;

/** Schedules need a time, which their schema does not say. */
const chooser = ({ path }: ServerRoute) => (path.startsWith('/v1/schedules') ? () => 0.4 : always);

const fixed: Known = {
  action: ['read'],
  kind: ['static'],
  scheduled_at: ['2199-01-01T00:00:00Z'],
  ending_at: ['2199-02-01T00:00:00Z'],
  repeats: [[]],
};

/** What no schema says how to fill in. */
function bodies(ids: Known): { readonly [route: string]: Json } {
  const [key = 'owned'] = ids.workflow ?? [];
  const content = { name: 'Of the other', steps: [feedStep('Of the other')] };
  return {
    'POST /control/v1/push': { workflows: [{ key, content }] },
    'POST /control/v1/webhooks': { url: 'https://example.com/' },
    'POST /control/v1/webhooks/{id}/replay': { delivery_id: randomUUID() },
  };
}

/** Names that mean something else with each noun. */
function narrowed(route: ServerRoute, ids: Known): Known {
  const [, noun = ''] = /^(?:\/control)?\/v1\/(\w+)/.exec(route.path) ?? [];
  const key = route.path.endsWith('/channel_types/{key}') ? ['email'] : ids[`${noun}.key`];
  return { id: ids[`${noun}.id`] ?? ids.id ?? [], key: key ?? ids.key ?? [] };
}

/** Lists of ids, and the workflow whose schedules are listed. */
function queryOf(route: ServerRoute, known: Known): string {
  const query = route.query ? (validValue(route.query, () => 0.4, known) as JsonObject) : {};
  const pairs = Object.entries(query).flatMap(([name, value]) => {
    if (name.endsWith('_object')) return [`${name}=${encodeURIComponent(JSON.stringify(value))}`];
    if (name === 'workflow' || name === 'team_id') return [`${name}=${String(value)}`];
    return name.endsWith('_ids') ? [value].flat().map((id) => `${name}[]=${String(id)}`) : [];
  });
  return pairs.join('&');
}

/** Ids of the same form that nobody has. */
function strange(ids: Known): Known {
  return Object.fromEntries(
    Object.entries(ids).map(([name, values]) => [name, values.map(strangeValue)]),
  );
}

function strangeValue(value: Json): Json {
  if (Array.isArray(value)) return value.map(strangeValue);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, each]) => [name, strangeValue(each)]),
    );
  }
  if (typeof value !== 'string') return value;
  if (value === 'default') return value;
  if (/^[0-9a-f]{8}-/.test(value)) return `${value.slice(0, 14)}${randomUUID().slice(14)}`;
  const uuid = uuidFromKsuid(value);
  if (uuid !== undefined) return ksuidFromUuid(`${uuid.slice(0, 14)}${randomUUID().slice(14)}`);
  return value.replace('owned', 'nobodys');
}

/** Without what differs between any two requests. */
function plain({ status, text }: Answer): Answer {
  return {
    status,
    text: text
      // A signed link says whose it is.
      .replaceAll(/([\w-]+)\.[\w-]{43}(?=")/g, (_, subject: string) =>
        Buffer.from(subject, 'base64url').toString(),
      )
      .replaceAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'ID')
      .replaceAll(/\b[0-9A-Za-z]{27}\b/g, 'ID')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
      .replaceAll(/"version_id":\d+/g, '"version_id":NUMBER')
      .replaceAll(/whsec_[\w+/=]+/g, 'SECRET')
      .replaceAll('nobodys', 'owned'),
  };
}
