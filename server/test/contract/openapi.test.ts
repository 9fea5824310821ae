import { expect, test } from 'vitest';
import { errorCatalogue } from '../../src/lib/errors.ts';
import { documentedOperations, errorsOf, fits, openApi } from './openapi-document.ts';
import { serverRoutes } from './server-routes.ts';

const SUMMARY_CHARACTERS = 90;

const named = documentedOperations.map((operation) => [operation.name, operation] as const);
const catalogue = new Map(
  Object.entries(errorCatalogue).map(([code, { status }]) => [code, String(status)]),
);

test('the document has every route of the API, the control API and the operator API', async () => {
  const routes = (await serverRoutes())
    .filter(({ hidden, method }) => !hidden && method !== 'HEAD')
    .map(({ method, path }) => `${method} ${path}`);
  expect(routes.length).toBeGreaterThan(150);
  expect(documentedOperations.map(({ name }) => name).sort()).toEqual(routes.sort());
});

test.each(named)('%s says in a line, in full and in a group what it does', (_, operation) => {
  const { summary = '', description = '', tags = [] } = operation;
  expect(summary).toMatch(/^[A-Z][^.]{4,}$/);
  expect(summary.length).toBeLessThanOrEqual(SUMMARY_CHARACTERS);
  expect(summary).not.toMatch(/^Deprecated/);
  expect(description).toMatch(/^[A-Z`].{10,}[.`|)]$/s);
  expect(tags.length).toBeGreaterThan(0);
});

test('no two operations have the same id', () => {
  const ids = documentedOperations.map(({ operationId }) => operationId);
  expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([]);
});

test('a value that does not fit its schema would be noticed', () => {
  const user = { $ref: '#/components/schemas/User' };
  const example = openApi.paths['/v1/users/{user_id}']?.get?.responses['200']?.content;
  expect(fits(user, example?.['application/json']?.example)).toBe(true);
  expect(fits(user, { __typename: 'User', id: 7 })).toBe(false);
});

test.each(named)('%s has examples, and each fits its schema', (_, operation) => {
  const { parameters = [], requestBody, responses } = operation;
  for (const { name, schema, example } of parameters) {
    expect(fits(schema, example), `${name}: ${JSON.stringify(example)}`).toBe(true);
  }
  const contents = [requestBody, ...Object.values(responses)].flatMap((each) =>
    Object.values(each?.content ?? {}),
  );
  for (const { schema, example } of contents) {
    expect(example, 'an example').toBeDefined();
    expect(fits(schema, example), JSON.stringify(example)).toBe(true);
  }
  const good = Object.entries(responses).filter(([status]) => status < '300');
  expect(good.length).toBeGreaterThan(0);
  for (const [status, { content }] of good) {
    // An answer without a body has nothing to show.
    expect(content === undefined).toBe(status === '204');
  }
});

test.each(named)('%s names its errors by codes of the catalogue', (_, operation) => {
  const codes = [...errorsOf(operation)].flatMap(([status, each]) =>
    each.map((code) => [code, status]),
  );
  expect(codes.length).toBeGreaterThan(0);
  expect(codes.filter(([code = '', status]) => catalogue.get(code) !== status)).toEqual([]);
  expect(codes.map(([code]) => code)).toContain('internal_error');
  if (operation.security?.length) {
    const wrongKeys = ['api_key_missing', 'api_key_expired', 'incorrect_token_type'];
    expect(codes.map(([code]) => code)).toEqual(expect.arrayContaining(wrongKeys));
  }
});

test('each error has an example of its own, in the form of the envelope', () => {
  const used = new Set(
    documentedOperations.flatMap((operation) => [...errorsOf(operation).values()].flat()),
  );
  expect(Object.keys(openApi.components.examples).sort()).toEqual([...used].sort());
  for (const [code, { value }] of Object.entries(openApi.components.examples)) {
    expect(value.code).toBe(code);
    expect(fits({ $ref: '#/components/schemas/Error' }, value)).toBe(true);
  }
});
