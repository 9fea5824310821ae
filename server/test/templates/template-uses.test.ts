import { expect, test } from 'vitest';
import { bareEnvironment } from '../../src/templates/template-environment.ts';
import { templateUses } from '../../src/templates/template-uses.ts';

const usesOf = (source: string) => templateUses(source, bareEnvironment);

test('what a template names is known without rendering it', () => {
  const uses = usesOf(
    `{% assign x = 1 %}{{ data.order["id"] }} {{ data.items[data.at].name }} {{ x }}
     {% for item in items %}{{ item.name }}{% endfor %} {{ "app:hello.you" | t: name: recipient.name }}`,
  );
  expect(uses.translations).toEqual(['app:hello.you']);
  const { paths } = usesOf(
    '{% assign x = 1 %}{{ data.order["id"] }} {{ data.items[data.at].name }} {{ x }} {% for item in items %}{{ item.name }}{% endfor %}',
  );
  expect(paths).toEqual([['data', 'order', 'id'], ['data', 'items'], ['data', 'at'], ['items']]);
});

test('a template that nobody can read names nothing, and is no error', () => {
  expect(usesOf('{{ x').paths).toEqual([]);
  expect(usesOf('plain text')).toEqual({ paths: [], translations: [] });
});
