import { isJsonObject } from '../lib/json.ts';
import { compileTemplate } from '../templates/compile-template.ts';
import { bareEnvironment } from '../templates/template-environment.ts';
import { isAudienceOperator } from './condition-needs.ts';
import { decodeArgument } from './condition-operands.ts';
import { operators } from './condition-operators.ts';
import { messageStatusArgument, messageStatuses, messageStatusVariable } from './message-status.ts';
import type { Problem } from './step.ts';

/** What is wrong with one condition: its variable, operator and argument. */
export function memberProblems(member: unknown, path: string): Problem[] {
  if (!isJsonObject(member)) {
    return [{ path, reason: 'must be an object with "variable", "operator" and "argument"' }];
  }
  const { variable, operator, argument } = member;
  const problems = [
    ...variableProblems(variable, `${path}.variable`),
    ...operatorProblems(operator, `${path}.operator`),
    ...(typeof argument === 'string' ? templateProblems(argument, `${path}.argument`) : []),
  ];
  if (problems.length > 0) return problems;
  if (isAudienceOperator(operator)) return audienceProblems(variable, argument, path);
  if (operator === 'is_in_random_cohort') return cohortProblems(argument, path);
  return isStatus(argument) ? statusProblems(String(variable), operator, argument, path) : [];
}

/** `"a", "b"` */
export function namesOf(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ');
}

function variableProblems(variable: unknown, path: string): Problem[] {
  if (typeof variable !== 'string' || variable.trim() === '') {
    return [{ path, reason: 'must be a path such as "data.priority" or "recipient.plan"' }];
  }
  return templateProblems(variable, path);
}

function operatorProblems(operator: unknown, path: string): Problem[] {
  if (isAudienceOperator(operator)) return [];
  if (typeof operator === 'string' && Object.hasOwn(operators, operator)) return [];
  const known = namesOf([
    ...Object.keys(operators),
    'is_audience_member',
    'is_not_audience_member',
  ]);
  return [{ path, reason: `unknown operator ${JSON.stringify(operator) ?? ''}; use ${known}` }];
}

const MEMBERS: readonly string[] = ['recipient', 'recipient.id', 'actor', 'actor.id'];

function audienceProblems(variable: unknown, argument: unknown, path: string): Problem[] {
  const problems: Problem[] = [];
  if (!MEMBERS.includes(String(variable).trim())) {
    const reason = `must be one of ${namesOf(MEMBERS)}: those whose membership can be asked of`;
    problems.push({ path: `${path}.variable`, reason });
  }
  const key = decodeArgument(argument);
  if (typeof key !== 'string' || key.trim() === '' || key.includes('{{')) {
    problems.push({ path: `${path}.argument`, reason: 'must be the key of an audience' });
  }
  return problems;
}

function cohortProblems(argument: unknown, path: string): Problem[] {
  const percentage = decodeArgument(argument);
  const isShare = typeof percentage === 'number' && percentage >= 0 && percentage <= 100;
  return isShare
    ? []
    : [{ path: `${path}.argument`, reason: 'must be a percentage from 0 to 100' }];
}

function isStatus(argument: unknown): boolean {
  return typeof argument === 'string' && argument.includes('$message.');
}

const STATUS_OPERATORS: readonly string[] = [
  'equal_to',
  'not_equal_to',
  'contains',
  'not_contains',
];

function statusProblems(
  variable: string,
  operator: unknown,
  argument: unknown,
  path: string,
): Problem[] {
  const problems: Problem[] = [];
  if (messageStatusVariable(variable) === undefined) {
    const reason =
      'must be "refs.<step>.delivery_status" or "refs.<step>.engagement_status" of an earlier step';
    problems.push({ path: `${path}.variable`, reason });
  }
  if (!STATUS_OPERATORS.includes(String(operator))) {
    const reason = `message statuses are compared with ${namesOf(STATUS_OPERATORS)} only`;
    problems.push({ path: `${path}.operator`, reason });
  }
  if (!messageStatuses.includes(messageStatusArgument(argument) ?? '')) {
    const known = messageStatuses.map((status) => `$message.${status}`);
    const reason = `there is no message status ${JSON.stringify(argument)}; use ${namesOf(known)}`;
    problems.push({ path: `${path}.argument`, reason });
  }
  return problems;
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
