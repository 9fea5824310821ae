import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { operations } from '../server/test/contract/operations.ts';
import { serverRoutes, shapeOf } from '../server/test/contract/server-routes.ts';

const TESTS = join(import.meta.dirname, '..', 'server', 'test');

/** Tests that are named for an operation at the most. */
const NAMED = 3;

type TestFile = { readonly file: string; readonly text: string };

/** It calls every operation: its last test counts. */
const WALK = 'contract/sdk-walk.test.ts';

/** Every operation of the wire contract: the SDK's method for it, its route, and the tests that call it. */
export async function apiCoverageDocument(): Promise<string> {
  const routes = await serverRoutes();
  const tests = await testFiles();
  const rows = operations.map(([method, path, sdk]) => ({
    name: `${method} ${path}`,
    sdk,
    route: routes.find((each) => shapeOf(each.method, each.path) === shapeOf(method, path)),
    tests: [WALK, ...tests.filter(({ text }) => names(text, path)).map(({ file }) => file)],
  }));
  return [
    '# The runtime API',
    '',
    `All ${rows.length} operations of the wire contract are here. Each answers with what the types of`,
    '`@knocklabs/node` say: the compiler holds the schemas of the routes against them',
    '([response-types.ts](../server/test/contract/response-types.ts)). Each is called against a whole server, through the',
    'SDK where the SDK has a method for it, and its answer is held against the schema',
    `([sdk-walk.test.ts](../server/test/${WALK})). Made by \`npm run generate\`.`,
    '',
    '| operation | SDK | route | tests |',
    '|---|---|---|---|',
    ...rows.map(({ name, sdk, route, tests: proofs }) =>
      [
        `| \`${name}\``,
        sdk === null ? '–' : `\`${sdk}\``,
        `[${route?.file}](../server/src/api/routes/${route?.file})`,
        `${proofs.slice(0, NAMED).map(testLink).join('<br>')} |`,
      ].join(' | '),
    ),
    '',
  ].join('\n');
}

async function testFiles(): Promise<TestFile[]> {
  const files = (await readdir(TESTS, { recursive: true })).filter((file) =>
    file.endsWith('.test.ts'),
  );
  return files.sort().map((file) => ({ file, text: readFileSync(join(TESTS, file), 'utf8') }));
}

/** Whether a test has the path, with something in the place of its parameters. */
function names(text: string, path: string): boolean {
  const pattern = path.replaceAll(/\{\w+\}/g, '(?:\\$\\{[^}]+\\}|[\\w%.:-]+)');
  return new RegExp(`${pattern}(?![\\w/{$-])`).test(text);
}

function testLink(file: string): string {
  return `[${file}](../server/test/${file})`;
}
