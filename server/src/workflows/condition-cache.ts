import type { JsonObject } from '../lib/json.ts';
import { conditionNeeds } from './condition-needs.ts';
import { compileConditionList, type Predicate } from './conditions.ts';

const MAX_LISTS = 5_000;

const byList = new WeakMap<readonly unknown[], Predicate>();
const byText = new Map<string, Predicate>();

/**
 * A list of conditions as one function, compiled once for the same list and once for the same text: sets of
 * preferences are read again for every assignment, and most recipients say one of a few things.
 */
export function conditionListOf(conditions: readonly unknown[]): Predicate {
  const known = byList.get(conditions);
  if (known) return known;
  const text = JSON.stringify(conditions);
  let predicate = byText.get(text);
  if (!predicate) {
    predicate = compiled(conditions);
    if (byText.size >= MAX_LISTS) byText.clear();
    byText.set(text, predicate);
  }
  byList.set(conditions, predicate);
  return predicate;
}

const NO_AUDIENCES: readonly string[] = [];
const asked = new WeakMap<JsonObject, readonly string[]>();

/** Keys of the audiences that the conditions of a preference set ask about; found once for the same set. */
export function audiencesAskedBy(set: JsonObject): readonly string[] {
  let audiences = asked.get(set);
  if (!audiences) {
    audiences = conditionNeeds(set)?.audiences ?? NO_AUDIENCES;
    asked.set(set, audiences);
  }
  return audiences;
}

/** Sets are checked when they are written; what is there nevertheless is not known to hold. */
function compiled(conditions: readonly unknown[]): Predicate {
  try {
    return compileConditionList(conditions);
  } catch {
    return () => false;
  }
}
