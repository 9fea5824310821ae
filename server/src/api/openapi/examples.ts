import { Check } from 'typebox/schema';
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import { valuesOfFields } from './example-values.ts';
import { valuesOfThings } from './example-values-of.ts';

/** In an answer every field is shown; in a request those that say something by themselves. */
type Side = 'request' | 'answer';

type Place = {
  readonly side: Side;
  /** The operation, for the error. */
  readonly operation: string;
  /** What the operation is about: `users`, `limits`. */
  readonly noun: string;
  /** What the value is of: a `__typename`, else the name of the field that holds it. */
  readonly owner: string;
  readonly field: string;
};

const TIME = '2026-03-14T09:26:53.589Z';

const exampleValues = { ...valuesOfFields, ...valuesOfThings };

/**
 * An example that fits a JSON schema: what the schema itself gives as one (`examples`), else made of
 * values by the names of its fields. Throws where a text has no value of its name, so that no
 * example says `"string"`.
 */
export function exampleOf(schema: JsonObject, place: Place): Json {
  const [given] = Array.isArray(schema.examples) ? schema.examples : [];
  if (given !== undefined) return given;
  if (schema.const !== undefined) return schema.const;
  const known = knownValue(schema, place);
  if (known !== undefined) return known;
  if (Array.isArray(schema.enum)) return schema.enum[0] ?? null;
  if (schema.default !== undefined) return schema.default;
  const choices = listOf(schema.anyOf ?? schema.oneOf);
  if (choices.length > 0) {
    const choice = choices.find(({ type }) => type !== 'null') ?? { type: 'null' };
    return exampleOf(choice, place);
  }
  const parts = listOf(schema.allOf);
  if (parts.length > 0) {
    return Object.assign({}, ...parts.map((part) => exampleOf(part, place)));
  }
  switch (schema.type) {
    case 'object':
      return objectExample(schema, place);
    case 'array':
      return isJsonObject(schema.items)
        ? [exampleOf(schema.items, { ...place, field: singular(place.field) })]
        : [];
    case 'string':
      return textExample(schema, place);
    case 'integer':
    case 'number':
      return Number(schema.minimum ?? 1);
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return {};
  }
}

/** The first value for this field, of this owner or of any, that its schema allows. */
function knownValue(schema: JsonObject, place: Place): Json | undefined {
  return namesOf(place)
    .flatMap((name) => exampleValues[name] ?? [])
    .find((value) => Check(schema, value));
}

function namesOf({ owner, noun, field }: Place): readonly string[] {
  return [`${owner}.${field}`, `${noun}.${field}`, field];
}

function objectExample(schema: JsonObject, place: Place): JsonObject {
  const properties = isJsonObject(schema.properties) ? Object.entries(schema.properties) : [];
  const required = Array.isArray(schema.required) ? schema.required : [];
  const owner = typenameOf(schema) ?? place.field;
  const shown = properties.filter(
    ([name]) =>
      place.side === 'answer' ||
      required.includes(name) ||
      !isRare({ ...place, owner, field: name }),
  );
  const values = shown.map(([name, property]) => [
    name,
    exampleOf(property as JsonObject, { ...place, owner, field: name }),
  ]);
  const [pattern] = isJsonObject(schema.patternProperties)
    ? Object.values(schema.patternProperties)
    : [];
  if (pattern === undefined) return Object.fromEntries(values);
  const of = { ...place, owner: place.field, field: singular(place.field) };
  return { ...Object.fromEntries(values), name: exampleOf(pattern as JsonObject, of) };
}

/** Its list of values is empty: the example of a request does without. */
function isRare(place: Place): boolean {
  const name = namesOf(place).find((each) => exampleValues[each] !== undefined);
  return name !== undefined && exampleValues[name]?.length === 0;
}

/** What the objects of a schema say that they are. */
export function typenameOf({ properties = null }: JsonObject): string | undefined {
  const typename = isJsonObject(properties) ? properties.__typename : undefined;
  if (!isJsonObject(typename)) return undefined;
  const [name] = Array.isArray(typename.enum) ? typename.enum : [typename.const];
  return typeof name === 'string' ? name : undefined;
}

function textExample(schema: JsonObject, { operation, owner, field }: Place): string {
  if (schema.format === 'uuid') return '5f0c1a52-6f0e-4c1b-9a3e-8b2f0f9d4c11';
  if (schema.format === 'date-time' || /_at$/.test(field)) return TIME;
  throw new Error(
    `${operation}: there is no example for the text ${owner}.${field}; name one in example-values.ts, or give its schema "examples"`,
  );
}

function singular(field: string): string {
  return field.replace(/ies$/, 'y').replace(/s$/, '');
}

function listOf(value: Json | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter((each) => isJsonObject(each)) : [];
}
