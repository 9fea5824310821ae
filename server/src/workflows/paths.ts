import type { RunScope } from './step.ts';

/** The names that a path may begin with; any other first name is a key of the trigger's data. */
const ROOTS = new Set([
  'data',
  'recipient',
  'actor',
  'tenant',
  'vars',
  'workflow',
  'timestamp',
  'run',
  'refs',
]);

/** Only the conditions of a wait see this name; elsewhere it is a key of the data like any other. */
const EVENT = 'event';

/** `data.items[0].name` in parts, or undefined when the text is no path. */
export function parsePath(text: string): string[] | undefined {
  const parts: string[] = [];
  const pattern = /(?:^|\.)([^.[\]\s"'{}]+)|\[(\d+)\]|\["([^"\]]*)"\]|\['([^'\]]*)'\]/y;
  const trimmed = text.trim();
  while (pattern.lastIndex < trimmed.length) {
    const match = pattern.exec(trimmed);
    if (!match) return undefined;
    parts.push(match[1] ?? match[2] ?? match[3] ?? match[4] ?? '');
  }
  return parts.length > 0 ? parts : undefined;
}

/** Whether a path begins with one of the scope's own names. */
export function isRooted(path: readonly string[]): boolean {
  return ROOTS.has(path[0] ?? '');
}

/** The value that a path leads to, or undefined. A bare name is a key of `data`. */
export function resolvePath(path: readonly string[], scope: RunScope): unknown {
  const root = path[0] ?? '';
  let value: unknown =
    ROOTS.has(root) || (root === EVENT && Object.hasOwn(scope, EVENT))
      ? scope[root]
      : own(scope.data, root);
  for (let i = 1; i < path.length && value !== undefined; i++) value = own(value, path[i] ?? '');
  return value;
}

function own(holder: unknown, key: string): unknown {
  if (typeof holder !== 'object' || holder === null || !Object.hasOwn(holder, key))
    return undefined;
  return (holder as Readonly<Record<string, unknown>>)[key];
}
