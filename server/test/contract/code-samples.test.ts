import KnockNode from '@knocklabs/node';
import { expect, test } from 'vitest';
import { type Operation, readDocument } from '../../../web/src/reference/api-document.ts';
import {
  callOf,
  curlOf,
  exampleText,
  type Filled,
  filledFromExample,
  sdkExpression,
} from '../../../web/src/reference/call.ts';
import { readQuery } from '../../src/api/query.ts';
import { openApi } from './openapi-document.ts';

// The page at /docs shows each call as a request, for curl and for the SDK. All are the same one.

const ORIGIN = 'http://127.0.0.1:4400';
const { operations } = readDocument(openApi);

type Asked = { readonly method: string; readonly url: URL; readonly body: unknown };

/** What the SDK sends when it runs the code. */
async function runSample(code: string): Promise<Asked> {
  const asked: Asked[] = [];
  const knock = new KnockNode({
    baseURL: ORIGIN,
    apiKey: 'sk_none',
    maxRetries: 0,
    fetch: async (url, init) => {
      // Some methods send an object with nothing in it.
      const isEmpty = typeof init?.body !== 'string' || init.body === '{}';
      const body = isEmpty ? undefined : JSON.parse(String(init.body));
      asked.push({
        method: (init?.method ?? 'get').toUpperCase(),
        url: new URL(String(url)),
        body,
      });
      return Response.json({ entries: [], items: [], page_info: {} });
    },
  });
  await new Function('knock', `return ${code}`)(knock);
  const [first] = asked;
  if (!first) throw new Error(`${code} asked nothing`);
  return first;
}

/** Every parameter from its example, not only the required ones. */
function allFilled(operation: Operation): Filled {
  const values = operation.parameters.map((each) => [each.name, exampleText(each)]);
  return { ...filledFromExample(operation), values: Object.fromEntries(values) };
}

/** As the server reads it, whichever way it is written. */
const queryOf = (url: URL) => readQuery(url.search.slice(1));

test.each(
  operations.map((operation) => [`${operation.method} ${operation.path}`, operation] as const),
)('%s is the same call in the page and in the code for the SDK', async (_, operation) => {
  for (const filled of [filledFromExample(operation), allFilled(operation)]) {
    const call = callOf(operation, filled);
    const code = sdkExpression(operation, filled);
    const asked = await runSample(code);
    const url = new URL(call.path, ORIGIN);
    expect(asked.method, code).toBe(call.method);
    expect(asked.url.pathname, code).toBe(url.pathname);
    expect(queryOf(asked.url), code).toEqual(queryOf(url));
    expect(asked.body, code).toEqual(call.body === undefined ? undefined : JSON.parse(call.body));
    expect(
      code.startsWith(`knock.${operation.sdk?.method ?? operation.method.toLowerCase()}(`),
    ).toBe(true);
  }
});

test('the call for curl quotes what a shell would read, and names the key without its value', () => {
  const operation = operations.find(({ id }) => id === 'putUsersUserId');
  if (!operation) throw new Error('there is no such operation');
  const body = '{"name": "Mara\'s"}';
  const call = callOf(operation, { values: { user_id: 'a/b c' }, body });
  expect(curlOf(call, ORIGIN, true)).toBe(
    [
      `curl -X PUT '${ORIGIN}/v1/users/a%2Fb%20c' \\`,
      '  -H "Authorization: Bearer $BELFRY_KEY" \\',
      "  -H 'content-type: application/json' \\",
      `  -d '{"name":"Mara'\\''s"}'`,
    ].join('\n'),
  );
});
