import { createHash } from 'node:crypto';
import type { Statement } from './database.ts';

/** Each connection keeps as many plans, at the most. */
const MAX_STATEMENTS = 500;
const names = new Map<string, string>();

/**
 * A statement that each connection parses once and plans a few times: for texts that come again and again, of which
 * there are few, and whose plan does not depend on the values. The first 500 texts have names; later ones are planned
 * each time.
 *
 * A plan for the values at hand is made each time all the same where the planner finds that cheaper by more than the planning itself, as for
 * an array of one: it expects ten. It does not look into a subquery: `unnest((select $1::uuid[]))`.
 */
export function prepared(text: string): Statement {
  const known = names.get(text);
  if (known !== undefined) return { name: known, text };
  if (names.size >= MAX_STATEMENTS) return text;
  const name = `text_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`;
  names.set(text, name);
  return { name, text };
}
