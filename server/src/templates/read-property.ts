import type { TemplateScope } from './template-scope.ts';

/** Reads a property; of nothing it is nothing. */
type Reader = (holder: unknown) => unknown;

/**
 * Reads a path as liquidjs does with `ownPropertyOnly`, for scopes that came from JSON: a name at
 * the top level of the scope, else of its `data`, and own properties from there.
 */
export function pathReader(
  name: string,
  keys: readonly (string | number)[],
): (scope: TemplateScope) => unknown {
  const variable = variableReader(name);
  const [first, ...others] = keys.map(propertyReader);
  if (!first) return variable;
  if (others.length === 0) return (scope) => first(variable(scope));
  return (scope) => {
    let value = first(variable(scope));
    for (const next of others) value = next(value);
    return value;
  };
}

function variableReader(name: string): (scope: TemplateScope) => unknown {
  const read = propertyReader(name);
  return (scope) => {
    // What `scope` inherits is hidden, but is not looked up in `data` either.
    const holder = Object.hasOwn(scope, name) || name in scope ? scope : scope.data;
    return read(holder);
  };
}

function propertyReader(key: string | number): Reader {
  if (key === 'size') return size;
  if (key === 'first') return (holder) => own(holder, Array.isArray(holder) ? 0 : key);
  if (key === 'last') {
    return (holder) => own(holder, Array.isArray(holder) ? holder.length - 1 : key);
  }
  if (typeof key === 'number' && key < 0) {
    return (holder) => own(holder, Array.isArray(holder) ? holder.length + key : key);
  }
  return (holder) => own(holder, key);
}

function own(holder: unknown, key: string | number): unknown {
  if (holder === undefined || holder === null) return holder;
  return Object.hasOwn(holder as object, key)
    ? (holder as Readonly<Record<string | number, unknown>>)[key]
    : undefined;
}

function size(holder: unknown): unknown {
  if (holder === undefined || holder === null) return holder;
  if (Array.isArray(holder) || typeof holder === 'string') return holder.length;
  if (typeof holder !== 'object') return undefined;
  return Object.hasOwn(holder, 'size') ? Reflect.get(holder, 'size') : Object.keys(holder).length;
}
