import type { TSchema } from 'typebox';
import { isJsonObject, type Json, type JsonObject } from '../../src/lib/json.ts';
import { integer } from '../support/random.ts';

type Random = () => number;

/** Values that fields of these names have, so that requests meet what is there. */
export type Known = { readonly [field: string]: readonly Json[] };

export function pick<Item>(random: Random, items: readonly Item[]): Item {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('there is nothing to pick from');
  return item;
}

/** A value that a schema allows, of what is known where a field has such a name. */
export function validValue(schema: TSchema, random: Random, known: Known, field = ''): Json {
  const node = schema as unknown as JsonObject;
  const given = known[field];
  if (given && random() < 0.9) return pick(random, given);
  if ('const' in node) return node.const ?? null;
  if (Array.isArray(node.enum)) return pick(random, node.enum);
  if (Array.isArray(node.anyOf)) {
    return validValue(pick(random, node.anyOf) as unknown as TSchema, random, known, field);
  }
  switch (node.type) {
    case 'string':
      return text(node, random);
    case 'integer':
      return integer(random, Number(node.minimum ?? 0), Number(node.maximum ?? 100));
    case 'number':
      return random() * 100;
    case 'boolean':
      return random() < 0.5;
    case 'array':
      return Array.from(
        { length: integer(random, Math.max(Number(node.minItems ?? 0), 0), 3) },
        () => validValue(node.items as unknown as TSchema, random, known, field.replace(/s$/, '')),
      );
    case 'object':
      return object(node, random, known);
    default:
      return null;
  }
}

function text(node: JsonObject, random: Random): string {
  switch (node.format) {
    case 'uuid':
      return '00000000-0000-4000-8000-000000000000';
    case 'date-time':
      return '2026-01-31T12:00:00Z';
    default:
      return pick(random, ['one', 'two', 'default', 'true', '2026-01-31T12:00:00Z', '7']);
  }
}

function object(node: JsonObject, random: Random, known: Known): JsonObject {
  const required = Array.isArray(node.required) ? node.required : [];
  const properties = isJsonObject(node.properties) ? node.properties : {};
  const fields = Object.entries(properties).filter(
    ([name]) => required.includes(name) || random() < 0.5,
  );
  return Object.fromEntries(
    fields.map(([name, schema]) => [
      name,
      validValue(schema as unknown as TSchema, random, known, name),
    ]),
  );
}

/** Half of a surrogate pair, which JSON can hold and UTF-8 cannot. */
const LONE = '\ud83d';

const hostileTexts: readonly string[] = [
  '',
  ' ',
  '\u0000',
  `a${LONE}`,
  '\u202eabc',
  '🦊'.repeat(100),
  'é'.normalize('NFD'),
  'x'.repeat(70_000),
  '__proto__',
  'constructor',
  '$users',
  '$tenants',
  '../../etc/passwd',
  "'; drop table message; --",
  '{{ vars.secret }}',
  '{% for i in (1..100000000) %}x{% endfor %}',
  '-1',
  '1e309',
  'null',
  '[]',
  '{"a":{"b":1}}',
  '2026-13-45T99:99:99Z',
  '0000-00-00',
  '9999-12-31T23:59:59.999999999Z',
  '00000000-0000-0000-0000-000000000000',
  'ffffffff-ffff-ffff-ffff-ffffffffffff',
  'zzzzzzzzzzzzzzzzzzzzzzzzzzz',
  '0ujsszwN8NRY24YaXiTIE2VWDTS',
  '%00',
  '%',
  'a/b#c?d',
];

const hostileNumbers: readonly number[] = [
  -1,
  0,
  0.5,
  51,
  1_001,
  2 ** 31,
  2 ** 53,
  -(2 ** 63),
  1e308,
  5e-324,
];

/** Something that few programs expect at this place. */
export function hostileValue(random: Random): Json {
  switch (integer(random, 0, 7)) {
    case 0:
      return null;
    case 1:
      return random() < 0.5;
    case 2:
      return pick(random, hostileNumbers);
    case 3:
      return [];
    case 4:
      return {};
    case 5:
      return nested(integer(random, 3, 80));
    case 6:
      return Array.from({ length: pick(random, [1, 60, 1_001, 5_000]) }, () => 'same');
    default:
      return hostileText(random);
  }
}

export function hostileText(random: Random): string {
  return pick(random, hostileTexts);
}

function nested(depth: number): Json {
  let value: Json = 'deep';
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

/** The value with one thing in it replaced, left out, doubled or added. */
export function spoiled(value: Json, random: Random): Json {
  if (Array.isArray(value) && value.length > 0 && random() < 0.8) {
    const items: readonly Json[] = value;
    const at = integer(random, 0, items.length - 1);
    if (random() < 0.2) return [...items, ...items];
    return items.map((item, index) => (index === at ? spoiled(item, random) : item));
  }
  if (isJsonObject(value) && random() < 0.9) {
    const entries = Object.entries(value);
    if (entries.length === 0 || random() < 0.15) {
      return { ...value, [hostileText(random)]: hostileValue(random) };
    }
    const [name] = pick(random, entries);
    if (random() < 0.15) {
      return Object.fromEntries(entries.filter(([each]) => each !== name));
    }
    return { ...value, [name]: spoiled(value[name] ?? null, random) };
  }
  return hostileValue(random);
}
