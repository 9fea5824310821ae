import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { operations } from '../server/test/contract/operations.ts';
import { serverRoutes, shapeOf } from '../server/test/contract/server-routes.ts';

const TESTS = join(import.meta.dirname, '..', 'server', 'test');

/** Tests that are named for an operation at the most. */
const NAMED = 3;

type TestFile = { readonly file: string; readonly text: string };

/**
 * Every operation of the wire contract: the SDK's method for it, the route that answers it and the tests that call it.
 * Throws when one that is here is called by no test.
 */
export async function apiCoverageDocument(): Promise<string> {
  const routes = await serverRoutes();
  const tests = await testFiles();
  const rows = operations.map(([method, path, sdk]) => {
    const route = routes.find(
      (each) => shapeOf(each.method, each.path) === shapeOf(method, path),
    );
    const proofs = tests.filter(({ text }) => calls(text, path, sdk)).map(({ file }) => file);
    return { name: `${method} ${path}`, sdk, route, proofs };
  });
  const unproven = rows.filter(({ route, proofs }) => route && proofs.length === 0);
  if (unproven.length > 0) {
    throw new Error(`no test calls ${unproven.map(({ name }) => name).join(', ')}`);
  }
  const here = rows.filter(({ route }) => route);
  const missing = rows.filter(({ route }) => !route);
  return [
    '# The runtime API',
    '',
    `${here.length} of ${rows.length} operations of the wire contract are here. Each answers with what the types of`,
    '`@knocklabs/node` say (checked by the compiler), and is called by the tests through the SDK where the SDK has a',
    'method for it. Made from the routes and the tests by `npm run generate`.',
    '',
    '| operation | SDK | route | tests |',
    '|---|---|---|---|',
    ...here.map(
      ({ name, sdk, route, proofs }) =>
        `| \`${name}\` | ${sdk === null ? '' : `\`${sdk}\``} | ${routeLink(route?.file ?? '')} | ${proofs.slice(0, NAMED).map(testLink).join('<br>')} |`,
    ),
    '',
    ...(missing.length === 0
      ? []
      : ['## Not here yet', '', ...missing.map(({ name }) => `- \`${name}\``), '']),
  ].join('\n');
}

/** Those of the contract first: they call each operation with real data. */
async function testFiles(): Promise<TestFile[]> {
  const files = (await readdir(TESTS, { recursive: true })).filter((file) =>
    /(?:\.test|-walk)\.ts$/.test(file),
  );
  const byImportance = (file: string) => `${file.includes('-walk') ? 0 : 1}${file}`;
  return files
    .sort((left, right) => (byImportance(left) < byImportance(right) ? -1 : 1))
    .map((file) => ({ file, text: readFileSync(join(TESTS, file), 'utf8') }));
}

/** Whether a test calls the method of the SDK, or the path with something in the place of its parameters. */
function calls(text: string, path: string, sdk: string | null): boolean {
  if (sdk !== null && text.includes(`sdk.${sdk}(`)) return true;
  const escaped = path.replaceAll(/[.*+?^$()[\]\\|]/g, '\\$&');
  const pattern = escaped.replaceAll(/\{\w+\}/g, "(?:\\$\\{[^}]+\\}|[\\w%.:-]+)");
  return new RegExp(`${pattern}(?![\\w/{$-])`).test(text);
}

function routeLink(file: string): string {
  return `[${file}](../server/src/api/routes/${file})`;
}

function testLink(file: string): string {
  return `[${file}](../server/test/${file})`;
}
