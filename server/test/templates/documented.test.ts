import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { rendered } from './support.ts';

const page = readFileSync(
  join(import.meta.dirname, '..', '..', '..', 'docs', 'workflows', 'templates.md'),
  'utf8',
);
const examples = [...page.matchAll(/^\| `(\{\{.*\}\})` \| `(.*)` \|$/gm)].map(
  ([, source = '', expected = '']) => [source.replaceAll('\\|', '|'), expected] as const,
);

test('the page of templates has examples', () => {
  expect(examples.length).toBeGreaterThan(9);
});

test.each(examples)('the documented template %s gives %s', (source, expected) => {
  expect(rendered(source)).toBe(expected);
});
