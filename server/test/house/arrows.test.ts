import { readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { expect, test } from 'vitest';
import { sourceFiles } from './source-files.ts';

/**
 * Who may import whom: a folder of server/src, and what it may know. This is the architecture; a
 * change to it belongs into ARCHITECTURE.md too. Everything may import `lib`; what knows of a
 * request's scope imports `context`; only what starts things imports `config`.
 */
const arrows: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  db: [],
  context: ['db'],
  config: [],
  accounts: ['db', 'context'],
  signals: [],
  recipients: ['db', 'context', 'signals', 'workflows'],
  feed: ['db', 'context', 'accounts', 'signals', 'recipients', 'bodies'],
  templates: [],
  channels: [],
  workflows: ['templates'],
  control: ['db', 'context', 'accounts', 'signals', 'templates', 'workflows'],
  runs: ['db', 'context', 'recipients', 'feed', 'channels'],
  guides: [
    ...['db', 'context', 'signals', 'recipients', 'feed'],
    ...['templates', 'workflows', 'control'],
  ],
  'api-logs': ['db', 'context'],
  budgets: ['db', 'accounts'],
  bodies: ['db'],
  'log-store': ['db', 'recipients', 'feed', 'channels', 'runs'],
  carrier: ['db', 'bodies', 'log-store'],
  operations: ['db', 'context', 'accounts', 'recipients', 'feed'],
  engine: [
    ...['db', 'context', 'accounts', 'signals', 'recipients', 'feed'],
    ...['templates', 'channels', 'workflows', 'control', 'runs', 'operations'],
    'bodies',
  ],
  broadcasts: ['db', 'context', 'signals', 'recipients', 'workflows', 'runs', 'engine'],
  schedules: ['db', 'context', 'recipients', 'workflows', 'engine'],
  deletion: ['db', 'feed', 'recipients', 'bodies'],
  webhooks: ['db', 'context', 'signals', 'recipients', 'feed', 'channels', 'runs'],
  retention: ['db'],
  ops: ['db', 'context', 'accounts', 'channels', 'control'],
  api: [
    ...['db', 'context', 'config', 'accounts', 'recipients', 'feed'],
    ...['templates', 'channels', 'workflows', 'control', 'runs', 'engine', 'ops', 'budgets'],
    'broadcasts',
    'schedules',
    'operations',
    'signals',
    'webhooks',
    'guides',
    'api-logs',
    'bodies',
    'carrier',
    'log-store',
  ],
  'first-start': ['db', 'context', 'config', 'accounts', 'control'],
  'own-database': ['db', 'config', 'budgets', 'api'],
  'start-quarantine': ['context', 'config', 'engine', 'ops'],
  'store-metrics': ['carrier'],
  metrics: [
    'store-metrics',
    'api-logs',
    'engine',
    'budgets',
    'broadcasts',
    'schedules',
    'deletion',
    'webhooks',
    'retention',
    'ops',
    'carrier',
  ],
  main: [
    ...[
      'db',
      'context',
      'config',
      'accounts',
      'recipients',
      'feed',
      'control',
      'engine',
      'broadcasts',
      'schedules',
      'deletion',
      'webhooks',
      'guides',
      'retention',
      'ops',
      'budgets',
      'api',
      'api-logs',
      'carrier',
      'bodies',
      'log-store',
    ],
    ...['first-start', 'own-database', 'start-quarantine', 'metrics'],
  ],
  drill: ['db', 'accounts'],
  cli: ['db', 'context', 'config', 'accounts', 'bodies', 'control', 'ops', 'drill', 'main'],
};

type Import = { readonly from: string; readonly to: string };

const root = join(import.meta.dirname, '..', '..', 'src');
const imports = sourceFiles(root).flatMap((file) => importsOf(file));

test('folders of the server import only what stands below them', () => {
  const wrong = imports
    .filter(({ from, to }) => folder(from) !== folder(to) && folder(to) !== 'lib')
    .filter(({ from, to }) => !arrows[folder(from)]?.includes(folder(to)))
    .map(({ from, to }) => `${from} imports ${to}`);
  expect(wrong).toEqual([]);
});

test('the table of arrows names every folder and leads in no circle', () => {
  const folders = new Set(imports.flatMap(({ from, to }) => [folder(from), folder(to)]));
  expect([...folders].sort()).toEqual(Object.keys(arrows).sort());
  const inCircle = Object.keys(arrows).filter((name) => reaches(name, name, new Set()));
  expect(inCircle).toEqual([]);
});

test('a sub-folder is private to the folder that it is in', () => {
  const wrong = imports
    .filter(({ from, to }) => {
      const owner = dirname(dirname(to));
      return owner !== '.' && !`${from}${sep}`.startsWith(`${owner}${sep}`);
    })
    .map(({ from, to }) => `${from} imports ${to}`);
  expect(wrong).toEqual([]);
});

test('nothing that the server runs imports from tests, benchmarks or the pages', () => {
  const outside = imports.filter(({ to }) => to.startsWith('..'));
  expect(outside).toEqual([]);
});

/** The relative imports of a file, types included, as paths below src. */
function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8');
  const specifiers = text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'(\.[^']+)'/g);
  return [...specifiers].map(([, specifier = '']) => ({
    from: file,
    to: relative(root, join(root, dirname(file), specifier)),
  }));
}

/** `engine` for engine/log/chunk.ts, `main` for main.ts. */
function folder(path: string): string {
  const [first = ''] = path.split(sep);
  return first.replace(/\.ts$/, '');
}

function reaches(from: string, target: string, seen: Set<string>): boolean {
  return (arrows[from] ?? []).some((next) => {
    if (next === target) return true;
    if (seen.has(next)) return false;
    seen.add(next);
    return reaches(next, target, seen);
  });
}
