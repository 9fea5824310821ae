import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DocumentedOperation, documentedOperations } from './openapi-document.ts';
import { startTwoAccounts, type TwoAccounts } from './two-accounts.ts';

// Every operation that needs a key, asked with each kind of key that its documentation does not name.

let world: TwoAccounts;

beforeAll(async () => {
  world = await startTwoAccounts();
});
afterAll(() => world?.stop());

const keyed = documentedOperations.filter(({ security = [] }) => security.length > 0);

const kindsOf = ({ security = [] }: DocumentedOperation) =>
  security.flatMap((each) => Object.keys(each)).sort();

async function codeOf(operation: DocumentedOperation, authorization?: string): Promise<string> {
  const response = await fetch(`${world.url}${operation.path.replaceAll(/\{\w+\}/g, '1')}`, {
    method: operation.method,
    headers: authorization === undefined ? {} : { authorization },
  });
  const { code } = (await response.json()) as { readonly code: string };
  return `${response.status} ${code}`;
}

test('the control API is opened by service tokens alone, the operator API by operator tokens alone', () => {
  for (const operation of keyed) {
    const kinds = kindsOf(operation);
    if (operation.path.startsWith('/ops/')) expect(kinds).toEqual(['operatorToken']);
    else expect(kinds).not.toContain('operatorToken');
    if (operation.path.startsWith('/control/')) expect(kinds).toEqual(['serviceToken']);
  }
  expect(keyed.filter(({ path }) => path.startsWith('/ops/')).length).toBeGreaterThan(20);
  expect(keyed.filter(({ path }) => path.startsWith('/control/')).length).toBeGreaterThan(20);
});

test.each(keyed.map((operation) => [operation.name, operation] as const))(
  '%s is opened by no other kind of key, no unknown one and none',
  async (_, operation) => {
    const keys = {
      secretKey: world.owner.secret,
      publicKey: world.owner.public,
      serviceToken: world.owner.service,
      operatorToken: world.operator,
    };
    const kinds = kindsOf(operation);
    for (const [kind, key] of Object.entries(keys)) {
      if (kinds.includes(kind)) continue;
      expect(await codeOf(operation, `Bearer ${key}`), kind).toBe('403 incorrect_token_type');
    }
    expect(await codeOf(operation)).toBe('401 api_key_missing');
    expect(await codeOf(operation, 'Basic c2s6')).toBe('401 authentication_required');
    for (const unknown of ['sk_test_x', 'knock_st_x', 'bf_op_x']) {
      expect(await codeOf(operation, `Bearer ${unknown}`)).toBe('401 api_key_missing');
    }
  },
);

test('a service token finds no environment of another account, however it is named', async () => {
  const mine = await environments('demo');
  expect(mine.length).toBeGreaterThan(1);
  const asked = [...mine.map(({ id }) => id), ...mine.map(({ slug }) => `demo/${slug}`), 'demo'];
  const places = documentedOperations.filter(
    ({ method, path, parameters = [] }) =>
      method === 'GET' &&
      path.startsWith('/control/') &&
      !path.includes('{') &&
      parameters.some(({ name }) => name === 'environment'),
  );
  expect(places.length).toBeGreaterThan(2);
  for (const { path } of places) {
    for (const environment of asked) {
      const response = await fetch(
        `${world.url}${path}?environment=${encodeURIComponent(environment)}`,
        {
          headers: { authorization: `Bearer ${world.other.service}` },
        },
      );
      expect([path, environment, response.status]).toEqual([path, environment, 404]);
    }
  }
});

type Account = {
  readonly name: string;
  readonly environments: readonly { readonly id: string; readonly slug: string }[];
};

async function environments(account: string): Promise<Account['environments']> {
  const response = await fetch(`${world.url}/ops/v1/accounts`, {
    headers: { authorization: `Bearer ${world.operator}` },
  });
  const { entries } = (await response.json()) as { readonly entries: readonly Account[] };
  return entries.find(({ name }) => name === account)?.environments ?? [];
}
