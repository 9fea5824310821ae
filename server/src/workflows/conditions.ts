import { isJsonObject } from '../lib/json.ts';
import { isAudienceOperator } from './condition-needs.ts';
import { compileOperand, decodeArgument } from './condition-operands.ts';
import { operators, operatorsOfDays, operatorsWithoutArgument } from './condition-operators.ts';
import { memberProblems, namesOf } from './condition-problems.ts';
import { messageHas, messageStatusArgument, messageStatusVariable } from './message-status.ts';
import type { Problem, RunScope } from './step.ts';
import { chooseTimeZone, UTC } from './time-zone.ts';

export type Predicate = (scope: RunScope) => boolean;

/** A condition or group: whether it holds, and which condition is the false one. */
type Compiled = {
  readonly holds: Predicate;
  /** Called only with scopes for which it does not hold. */
  readonly falseOne: (scope: RunScope) => string;
};

const MAX_DEPTH = 5;
const MAX_CONDITIONS = 100;
const MAX_TEXT = 200;

const compiledBy = new WeakMap<Predicate, Compiled>();

/**
 * A group of conditions as one function: `{"all": [...]}` or `{"any": [...]}`, groups in groups. The first that
 * decides is the last that is evaluated. A group without conditions is true. What `conditionProblems` would refuse
 * is false.
 */
export function compileConditions(group: unknown): Predicate {
  return explainable(compileGroup(group));
}

/** A list of conditions that must all be true, as preferences have them. */
export function compileConditionList(conditions: readonly unknown[]): Predicate {
  return explainable(every(conditions.map(compileMember)));
}

/**
 * Why a predicate of `compileConditions` is false for a scope: `data.plan equal_to "pro" was false`, or the
 * conditions none of which was true. Undefined when it is true. Evaluates again, so it is for who wants to know.
 */
export function explainConditions(predicate: Predicate, scope: RunScope): string | undefined {
  const compiled = compiledBy.get(predicate);
  if (compiled ? compiled.holds(scope) : predicate(scope)) return undefined;
  return compiled ? compiled.falseOne(scope) : 'was false';
}

/** What is wrong with a group of conditions; `path` is its own. */
export function conditionProblems(group: unknown, path: string): Problem[] {
  if (group === undefined || group === null) return [];
  const budget = { left: MAX_CONDITIONS };
  const problems = groupProblems(group, path, 0, budget);
  if (budget.left < 0) problems.push({ path, reason: `more than ${MAX_CONDITIONS} conditions` });
  return problems;
}

/** What is wrong with a list of conditions, as preferences have them. */
export function conditionListProblems(conditions: unknown, path: string): Problem[] {
  if (!Array.isArray(conditions)) return [{ path, reason: 'must be a list of conditions' }];
  return conditionProblems({ all: conditions }, path).map((problem) => ({
    ...problem,
    path: problem.path.replace(`${path}.all`, path),
  }));
}

function explainable(compiled: Compiled): Predicate {
  compiledBy.set(compiled.holds, compiled);
  return compiled.holds;
}

function compileGroup(group: unknown): Compiled {
  if (!isJsonObject(group)) return TRUE;
  if (Array.isArray(group.all)) return every(group.all.map(compileMember));
  if (Array.isArray(group.any)) return some(group.any.map(compileMember));
  return TRUE;
}

function compileMember(member: unknown): Compiled {
  if (!isJsonObject(member)) return { holds: () => false, falseOne: () => 'no condition' };
  if (Array.isArray(member.all) || Array.isArray(member.any)) return compileGroup(member);
  const { variable, operator, argument } = member;
  const text = conditionText(variable, operator, argument);
  return {
    holds: compileTest(variable, operator, argument),
    falseOne: () => `${text} was false`,
  };
}

function compileTest(variable: unknown, operator: unknown, argument: unknown): Predicate {
  if (typeof variable !== 'string' || typeof operator !== 'string') return () => false;
  if (isAudienceOperator(operator)) return audienceTest(variable, operator, argument);
  const status = messageStatusArgument(argument);
  if (status !== undefined) return statusTest(variable, operator, status);
  const test = Object.hasOwn(operators, operator) ? operators[operator] : undefined;
  if (!test) return () => false;
  const value = compileOperand(variable, 'variable');
  const isOfTime = operator.startsWith('is_timestamp');
  if (operatorsWithoutArgument.has(operator)) {
    const now = isOfTime ? (scope: RunScope) => Date.parse(scope.timestamp) : () => 0;
    return (scope) => test(value(scope), undefined, now(scope), UTC);
  }
  const other = compileOperand(argument ?? null, 'argument');
  if (!isOfTime) return (scope) => test(value(scope), other(scope), 0, UTC);
  const zoneOf = operatorsOfDays.has(operator)
    ? ({ recipient }: RunScope) => chooseTimeZone(recipient.timezone).timezone
    : () => UTC;
  return (scope) => test(value(scope), other(scope), Date.parse(scope.timestamp), zoneOf(scope));
}

/** Who is asked about is in memory: see `CompiledWorkflow.needs`. */
function audienceTest(variable: string, operator: string, argument: unknown): Predicate {
  const who = variable.trim().replace(/\.id$/, '');
  const key = String(decodeArgument(argument));
  const wanted = operator === 'is_audience_member';
  return ({ $audiences }) => {
    const audiences = $audiences[who];
    return (isJsonObject(audiences) && audiences[key] === true) === wanted;
  };
}

/** Messages that are gone have no status, and lack none. */
function statusTest(variable: string, operator: string, status: string): Predicate {
  const ref = messageStatusVariable(variable);
  if (ref === undefined) return () => false;
  const wanted = operator === 'equal_to' || operator === 'contains';
  return ({ refs }) => {
    const has = messageHas(Object.hasOwn(refs, ref) ? refs[ref] : undefined, status);
    return has !== undefined && has === wanted;
  };
}

const TRUE: Compiled = { holds: () => true, falseOne: () => '' };

function every(members: readonly Compiled[]): Compiled {
  const [only] = members;
  if (only && members.length === 1) return only;
  const tests = members.map(({ holds }) => holds);
  return {
    holds: (scope) => {
      for (const test of tests) if (!test(scope)) return false;
      return true;
    },
    falseOne: (scope) => members.find(({ holds }) => !holds(scope))?.falseOne(scope) ?? '',
  };
}

function some(members: readonly Compiled[]): Compiled {
  const [only] = members;
  if (!only) return TRUE;
  if (members.length === 1) return only;
  const tests = members.map(({ holds }) => holds);
  return {
    holds: (scope) => {
      for (const test of tests) if (test(scope)) return true;
      return false;
    },
    falseOne: (scope) =>
      cut(
        `none of these was true: ${members.map((member) => member.falseOne(scope).replace(/ was false$/, '')).join('; ')}`,
      ),
  };
}

function conditionText(variable: unknown, operator: unknown, argument: unknown): string {
  const words = [String(variable), String(operator)];
  if (!operatorsWithoutArgument.has(String(operator))) {
    const isWritten = typeof argument === 'string' && (isJson(argument) || argument.includes('.'));
    words.push(isWritten ? argument : (JSON.stringify(argument) ?? 'null'));
  }
  return cut(words.join(' '));
}

function isJson(text: string): boolean {
  return decodeArgument(text) !== text;
}

function cut(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 1)}…` : text;
}

function groupProblems(
  group: unknown,
  path: string,
  depth: number,
  budget: { left: number },
): Problem[] {
  if (!isJsonObject(group)) return [{ path, reason: 'must be an object with "all" or "any"' }];
  const keys = Object.keys(group);
  if (keys.length === 0) return [];
  if (depth > MAX_DEPTH) return [{ path, reason: `nests more than ${MAX_DEPTH} groups` }];
  const [key = ''] = keys;
  const members = group[key];
  if (keys.length !== 1 || !['all', 'any'].includes(key)) {
    return [{ path, reason: `must have exactly one of "all" and "any", not ${namesOf(keys)}` }];
  }
  if (!Array.isArray(members)) {
    return [{ path: `${path}.${key}`, reason: 'must be a list of conditions' }];
  }
  return members.flatMap((member, index) => {
    const memberPath = `${path}.${key}[${index}]`;
    if (--budget.left < 0) return [];
    return isJsonObject(member) && ('all' in member || 'any' in member)
      ? groupProblems(member, memberPath, depth + 1, budget)
      : memberProblems(member, memberPath);
  });
}
