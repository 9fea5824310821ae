import type { TemplateScope } from './template-scope.ts';

/** A name at the top level of the scope, and the properties from there. */
export type Path = { readonly name: string; readonly keys: readonly (string | number)[] };

/** The value at a path, as liquidjs finds it, for scopes that came from JSON. */
export function readPath(path: Path, scope: TemplateScope): unknown {
  const { name, keys } = path;
  let value: unknown = name in scope ? property(scope, name) : property(scope.data, name);
  for (let i = 0; i < keys.length; i++) {
    if (value === undefined || value === null) return value;
    value = property(value, keys[i] as string | number);
  }
  return value;
}

/** liquidjs' `readProperty` with `ownPropertyOnly`. */
function property(holder: unknown, key: string | number): unknown {
  if (holder === undefined || holder === null) return holder;
  const own = Object.hasOwn(holder as object, key);
  switch (key) {
    case 'size':
      return own ? Reflect.get(Object(holder), key) : size(holder);
    case 'first':
      if (Array.isArray(holder)) return holder[0];
      break;
    case 'last':
      if (Array.isArray(holder)) return holder[holder.length - 1];
      break;
  }
  if (typeof key === 'number' && key < 0 && Array.isArray(holder)) {
    return holder[holder.length + key];
  }
  return own ? (holder as Readonly<Record<string | number, unknown>>)[key] : undefined;
}

function size(holder: unknown): unknown {
  if (Array.isArray(holder) || typeof holder === 'string') return holder.length;
  return typeof holder === 'object' && holder !== null ? Object.keys(holder).length : undefined;
}
