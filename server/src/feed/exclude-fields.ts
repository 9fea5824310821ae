import { invalidField } from '../lib/errors.ts';

const MAX_DEPTH = 3;
const MAX_PATHS = 50;

/** The paths in a text such as `entries.archived_at,meta`. */
export function readExcludedPaths(text: string | undefined): string[][] {
  if (text === undefined) return [];
  const paths = text
    .split(',')
    .map((path) => path.trim())
    .filter((path) => path !== '');
  if (paths.length > MAX_PATHS)
    throw invalidField('exclude', `may have at most ${MAX_PATHS} paths`);
  return paths.map((path) => {
    const names = path.split('.');
    if (names.length > MAX_DEPTH) {
      throw invalidField('exclude', `has the path ${path}, deeper than ${MAX_DEPTH} levels`);
    }
    return names;
  });
}

/** The value without the members at these paths; a path goes through every item of a list. */
export function excludeFields(value: unknown, paths: readonly (readonly string[])[]): unknown {
  return paths.reduce((rest, path) => without(rest, path), value);
}

function without(value: unknown, path: readonly string[]): unknown {
  const [name, ...rest] = path;
  if (name === undefined || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => without(item, path));
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, member]) => {
      if (key !== name) return [[key, member]];
      return rest.length === 0 ? [] : [[key, without(member, rest)]];
    }),
  );
}
