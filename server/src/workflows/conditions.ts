import { isJsonObject } from '../lib/json.ts';
import { compileTemplate } from '../templates/compile-template.ts';
import { bareEnvironment } from '../templates/template-environment.ts';
import { futureOperators, operators, operatorsWithoutArgument } from './condition-operators.ts';
import { isRooted, parsePath, resolvePath } from './paths.ts';
import type { Problem, RunScope } from './step.ts';

export type Predicate = (scope: RunScope) => boolean;

type Operand = (scope: RunScope) => unknown;

const MAX_DEPTH = 5;
const MAX_CONDITIONS = 100;

/**
 * A group of conditions as one function: `{"all": [...]}` or `{"any": [...]}`, groups in groups.
 * A group without conditions is true. What `conditionProblems` would refuse is false.
 */
export function compileConditions(group: unknown): Predicate {
  if (!isJsonObject(group)) return () => true;
  if (Array.isArray(group.all)) return every(group.all.map(compileMember));
  if (Array.isArray(group.any)) return some(group.any.map(compileMember));
  return () => true;
}

/** A list of conditions that must all be true, as preferences have them. */
export function compileConditionList(conditions: readonly unknown[]): Predicate {
  return every(conditions.map(compileMember));
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

function compileMember(member: unknown): Predicate {
  if (!isJsonObject(member)) return () => false;
  if (Array.isArray(member.all) || Array.isArray(member.any)) return compileConditions(member);
  const { variable, operator, argument } = member;
  const test =
    typeof operator === 'string' && Object.hasOwn(operators, operator)
      ? operators[operator]
      : undefined;
  if (!test || typeof variable !== 'string') return () => false;
  const value = compileOperand(variable, 'variable');
  if (operatorsWithoutArgument.has(String(operator))) {
    return (scope) => test(value(scope), undefined, Date.parse(scope.timestamp));
  }
  const other = compileOperand(argument ?? null, 'argument');
  return (scope) => test(value(scope), other(scope), Date.parse(scope.timestamp));
}

/**
 * JSON where the text parses as JSON, else a path. A text that is neither is itself for an
 * argument, and a key of the trigger's data for a variable. `{{ }}` renders first.
 */
function compileOperand(source: unknown, role: 'variable' | 'argument'): Operand {
  if (typeof source !== 'string') return () => source;
  if (source.includes('{{') || source.includes('{%')) {
    const template = compileTemplate(source, { escape: 'none', environment: bareEnvironment });
    return (scope) => decode(template.render(scope)).value;
  }
  const decoded = decode(source);
  if (decoded.json) return () => decoded.value;
  const path = parsePath(source);
  if (!path || (role === 'argument' && (!isRooted(path) || path.length < 2))) return () => source;
  return (scope) => resolvePath(path, scope);
}

function decode(text: string): { readonly json: boolean; readonly value: unknown } {
  try {
    return { json: true, value: JSON.parse(text) };
  } catch {
    return { json: false, value: text };
  }
}

function every(predicates: readonly Predicate[]): Predicate {
  const [only] = predicates;
  if (only && predicates.length === 1) return only;
  return (scope) => predicates.every((predicate) => predicate(scope));
}

function some(predicates: readonly Predicate[]): Predicate {
  if (predicates.length === 0) return () => true;
  return (scope) => predicates.some((predicate) => predicate(scope));
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
    return [{ path, reason: `must have exactly one of "all" and "any", not ${list(keys)}` }];
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

function memberProblems(member: unknown, path: string): Problem[] {
  if (!isJsonObject(member)) {
    return [{ path, reason: 'must be an object with "variable", "operator" and "argument"' }];
  }
  return [
    ...variableProblems(member.variable, `${path}.variable`),
    ...operatorProblems(member.operator, `${path}.operator`),
    ...argumentProblems(member.argument, `${path}.argument`),
  ];
}

function variableProblems(variable: unknown, path: string): Problem[] {
  if (typeof variable !== 'string' || variable.trim() === '') {
    return [{ path, reason: 'must be a path such as "data.priority" or "recipient.plan"' }];
  }
  return [...templateProblems(variable, path), ...refProblems(variable, path)];
}

function operatorProblems(operator: unknown, path: string): Problem[] {
  if (typeof operator === 'string' && Object.hasOwn(operators, operator)) return [];
  if (typeof operator === 'string' && futureOperators.has(operator)) {
    return [{ path, reason: `the operator "${operator}" is not supported yet` }];
  }
  const known = list(Object.keys(operators));
  return [{ path, reason: `unknown operator ${JSON.stringify(operator) ?? ''}; use ${known}` }];
}

function argumentProblems(argument: unknown, path: string): Problem[] {
  return typeof argument === 'string'
    ? [...templateProblems(argument, path), ...refProblems(argument, path)]
    : [];
}

function refProblems(text: string, path: string): Problem[] {
  if (!/^(refs\.|\$message\.)/.test(text.trim())) return [];
  return [{ path, reason: 'conditions on the status of earlier steps are not supported yet' }];
}

function templateProblems(text: string, path: string): Problem[] {
  if (!text.includes('{{') && !text.includes('{%')) return [];
  try {
    compileTemplate(text, { escape: 'none', environment: bareEnvironment });
    return [];
  } catch (error) {
    return [{ path, reason: error instanceof Error ? error.message : String(error) }];
  }
}

function list(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ');
}
