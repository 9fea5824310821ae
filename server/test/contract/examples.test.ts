import { afterAll, beforeAll, expect, test } from 'vitest';
import { isJsonObject, type Json } from '../../src/lib/json.ts';
import { type DocumentedOperation, documentedOperations, errorsOf } from './openapi-document.ts';
import { startTwoAccounts, type TwoAccounts } from './two-accounts.ts';

// Every operation, asked as its own documentation shows: whatever comes, it is not a complaint about the form.

let world: TwoAccounts;

beforeAll(async () => {
  world = await startTwoAccounts();
});
afterAll(() => world?.stop());

const keyed = documentedOperations.filter(({ security = [] }) => security.length > 0);

test.each(keyed.map((operation) => [operation.name, operation] as const))(
  '%s understands its own examples',
  async (_, operation) => {
    const { status, text } = await ask(operation);
    const { code } = status < 400 ? { code: undefined } : JSON.parse(text);
    expect(['invalid_params', 'malformed_request', 'malformed_json'], text).not.toContain(code);
    expect(status, text).toBeLessThan(500);
    if (status < 300) expect(Object.keys(operation.responses)).toContain(String(status));
    else expect(errorsOf(operation).get(String(status)), text).toContain(code);
  },
);

async function ask(operation: DocumentedOperation): Promise<{ status: number; text: string }> {
  const { method, parameters = [], requestBody } = operation;
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(parameters.find((each) => each.name === name)?.example)),
  );
  const query = parameters
    // A cursor is whatever the page before said.
    .filter((each) => each.in === 'query' && !['after', 'before'].includes(each.name))
    .flatMap(({ name, example = null }) => pairsOf(name, example));
  const [content] = Object.values(requestBody?.content ?? {});
  const response = await fetch(`${world.url}${path}?${query.join('&')}`, {
    method,
    headers: {
      authorization: `Bearer ${keyOf(operation)}`,
      ...(content && { 'content-type': 'application/json' }),
    },
    ...(content && { body: JSON.stringify(content.example) }),
  });
  return { status: response.status, text: await response.text() };
}

function pairsOf(name: string, value: Json): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => pairsOf(`${name}[]`, item));
  if (isJsonObject(value)) {
    return Object.entries(value).flatMap(([key, item]) => pairsOf(`${name}[${key}]`, item));
  }
  return [`${name}=${encodeURIComponent(String(value))}`];
}

function keyOf({ security = [] }: DocumentedOperation): string {
  const kinds = security.flatMap((each) => Object.keys(each));
  if (kinds.includes('operatorToken')) return world.operator;
  return kinds.includes('serviceToken') ? world.owner.service : world.owner.secret;
}
