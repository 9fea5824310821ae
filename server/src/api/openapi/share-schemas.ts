import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import { typenameOf } from './examples.ts';

/** What is shorter is read faster where it is than by its name. */
const SHARED_CHARACTERS = 160;

type Sharing = {
  /** How often a schema is there, by its text. */
  readonly counts: Map<string, number>;
  /** Names by text. */
  readonly names: Map<string, string>;
  readonly schemas: Map<string, Json>;
};

/**
 * The operations with every object schema that several of them have moved to `components.schemas`, under the name
 * of its `__typename` or of the field that holds it. Without it the document is six times as long.
 */
export function shareSchemas(paths: Json): { readonly paths: Json; readonly schemas: JsonObject } {
  const sharing: Sharing = { counts: new Map(), names: new Map(), schemas: new Map() };
  eachSchema(paths, (schema) => {
    count(schema, sharing.counts);
    return schema;
  });
  const shared = eachSchema(paths, (schema, name) => share(schema, name, sharing));
  return { paths: shared, schemas: Object.fromEntries([...sharing.schemas].sort()) };
}

/** Every `schema` of a document replaced; `name` is that of what it is of. */
function eachSchema(value: Json, change: (schema: Json, name: string) => Json, name = ''): Json {
  if (Array.isArray(value)) return value.map((item) => eachSchema(item, change, name));
  if (!isJsonObject(value)) return value;
  const own = typeof value.operationId === 'string' ? value.operationId : name;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      if (key === 'schema') return [key, change(item, `${own}${value.in ? '' : 'Body'}`)];
      if (key === 'example' || key === 'examples') return [key, item];
      return [key, eachSchema(item, change, own)];
    }),
  );
}

function count(value: Json, counts: Map<string, number>): void {
  if (Array.isArray(value)) {
    for (const item of value) count(item, counts);
  } else if (isJsonObject(value)) {
    if (isShareable(value)) {
      const text = JSON.stringify(value);
      counts.set(text, (counts.get(text) ?? 0) + 1);
    }
    for (const item of Object.values(value)) count(item, counts);
  }
}

function share(value: Json, name: string, sharing: Sharing): Json {
  if (Array.isArray(value)) return value.map((item) => share(item, name, sharing));
  if (!isJsonObject(value)) return value;
  const text = isShareable(value) ? JSON.stringify(value) : '';
  if ((sharing.counts.get(text) ?? 0) < 2) return inside(value, name, sharing);
  let shared = sharing.names.get(text);
  if (shared === undefined) {
    shared = freeName(typenameOf(value) ?? pascal(name), sharing.schemas);
    sharing.names.set(text, shared);
    sharing.schemas.set(shared, null);
    sharing.schemas.set(shared, inside(value, name, sharing));
  }
  return { $ref: `#/components/schemas/${shared}` };
}

function inside(value: JsonObject, name: string, sharing: Sharing): JsonObject {
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      if (key === 'examples' || key === 'enum' || key === 'default') return [key, item];
      if (key !== 'properties' || !isJsonObject(item)) return [key, share(item, name, sharing)];
      const properties = Object.entries(item).map(([field, schema]) => [
        field,
        share(schema, field, sharing),
      ]);
      return [key, Object.fromEntries(properties)];
    }),
  );
}

function isShareable(value: JsonObject): boolean {
  const isSchema = value.type === 'object' || Array.isArray(value.anyOf);
  return isSchema && JSON.stringify(value).length > SHARED_CHARACTERS;
}

function freeName(name: string, taken: ReadonlyMap<string, unknown>): string {
  if (!taken.has(name)) return name;
  let number = 2;
  while (taken.has(`${name}${number}`)) number++;
  return `${name}${number}`;
}

function pascal(name: string): string {
  return name
    .split(/[^A-Za-z0-9]+/)
    .map((part) => `${part.slice(0, 1).toUpperCase()}${part.slice(1)}`)
    .join('');
}
