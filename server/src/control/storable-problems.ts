import { unstorable } from '../lib/text.ts';
import type { Problem } from '../workflows/step.ts';

const MAX_DEPTH = 64;
const MAX_VALUES = 100_000;

/**
 * What makes a value from outside impossible to keep as jsonb or to walk: too deep, too much, or
 * text that the database refuses. Nothing else may look at the value before this has.
 */
export function storableProblems(content: unknown): Problem[] {
  const waiting: { value: unknown; path: string; depth: number }[] = [
    { value: content, path: '$', depth: 0 },
  ];
  let left = MAX_VALUES;
  for (let item = waiting.pop(); item; item = waiting.pop()) {
    const { value, path, depth } = item;
    if (--left < 0) return [{ path: '$', reason: `holds more than ${MAX_VALUES} values` }];
    if (depth > MAX_DEPTH) return [{ path, reason: `nests more than ${MAX_DEPTH} levels` }];
    if (typeof value === 'string') {
      const reason = unstorable(value);
      if (reason) return [{ path, reason }];
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, member] of Object.entries(value)) {
        const reason = unstorable(key);
        if (reason) return [{ path, reason: `the name of a field ${reason}` }];
        const step = Array.isArray(value) ? `[${key}]` : `.${key}`;
        waiting.push({ value: member, path: path + step, depth: depth + 1 });
      }
    }
  }
  return [];
}
