import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const page = readFileSync(
  join(import.meta.dirname, '..', '..', '..', 'docs', 'workflows', 'templates.md'),
  'utf8',
);

/** The templates in the tables of a section of docs/workflows/templates.md, each with what it gives. */
export function documentedTemplates(section: string): (readonly [source: string, gives: string])[] {
  const [, text = ''] = page.split(`\n## ${section}\n`);
  const [own = ''] = text.split('\n## ');
  return [...own.matchAll(/^\| `(.*)` \| `(.*)` \|$/gm)].map(([, source = '', gives = '']) => [
    source.replaceAll('\\|', '|'),
    gives,
  ]);
}
