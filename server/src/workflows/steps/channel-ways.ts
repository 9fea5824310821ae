import type { JsonObject } from '../../lib/json.ts';
import { cohortPosition } from '../cohort.ts';
import { compileConditionList, compileConditions, conditionListProblems } from '../conditions.ts';
import type {
  Channel,
  ChannelGroup,
  ChannelType,
  CompileEnvironment,
  Problem,
  RunScope,
} from '../step.ts';

/** A channel that a step may send on. */
export type Way = {
  readonly channel: Channel;
  readonly key: string;
  /** The channel is only recorded, in this environment. */
  readonly isSandbox: boolean;
  /** The channel's own in this environment, which hold for each step that uses it. */
  readonly conditions?: JsonObject;
  /** What is tracked of the channel's messages, where the step says nothing else. */
  readonly tracking?: JsonObject;
  /** In a group: whether its rule and the channel's conditions hold; absent: always. */
  readonly applies?: (scope: RunScope) => boolean;
};

/** One channel, or those of a group. */
export type Ways = {
  readonly ways: readonly Way[];
  readonly isGroup: boolean;
  /** `any`: the first way that applies and can send; `all`: each of them. */
  readonly operator: 'any' | 'all';
};

/** The ways of a step without problems. Throws when its channel is gone. */
export function compileWays(
  step: JsonObject,
  environment: CompileEnvironment,
  channelType: ChannelType,
): Ways {
  const groupKey = textOf(step.channel_group_key);
  if (groupKey === '') {
    const way = wayTo(textOf(step.channel_key), environment, channelType);
    return { ways: [way], isGroup: false, operator: 'all' };
  }
  const group = environment.channelGroup(groupKey);
  if (!group) throw new Error(`the account has no channel group "${groupKey}"`);
  const ways = group.rules.map((rule) => {
    const way = wayTo(rule.channelKey, environment, channelType);
    const tests = [compileRule(rule), way.conditions && compileConditions(way.conditions)];
    const applies = tests.filter((test) => test !== undefined);
    return {
      ...way,
      ...(applies.length > 0
        ? { applies: (scope: RunScope) => applies.every((test) => test(scope)) }
        : {}),
    };
  });
  return { ways, isGroup: true, operator: group.operator };
}

/** What is wrong with where a step sends to. */
export function wayProblems(
  step: JsonObject,
  path: string,
  environment: CompileEnvironment,
  channelType: ChannelType,
): Problem[] {
  const key = textOf(step.channel_key);
  const groupKey = textOf(step.channel_group_key);
  if (key !== '' && groupKey !== '') {
    const reason = 'has both "channel_key" and "channel_group_key"; exactly one must be set';
    return [{ path, reason }];
  }
  if (key !== '') {
    const reason = channelProblem(key, environment, channelType);
    return reason === undefined ? [] : [{ path: `${path}.channel_key`, reason }];
  }
  if (groupKey === '') {
    const reason = 'lacks "channel_key" or "channel_group_key": what to send with';
    return [{ path, reason }];
  }
  const at = `${path}.channel_group_key`;
  const group = environment.channelGroup(groupKey);
  if (!group) return [{ path: at, reason: `the account has no channel group "${groupKey}"` }];
  return group.rules.flatMap((rule) => {
    const reason = channelProblem(rule.channelKey, environment, channelType);
    const problems = reason === undefined ? [] : [{ path: at, reason }];
    return [...problems, ...ruleProblems(rule, at)];
  });
}

function channelProblem(
  key: string,
  environment: CompileEnvironment,
  channelType: ChannelType,
): string | undefined {
  const channel = environment.channel(key);
  if (!channel) return `the account has no channel "${key}"`;
  if (channel.type === channelType) return undefined;
  return `the channel "${key}" is of the type ${channel.type}, the step needs ${channelType}`;
}

function wayTo(key: string, environment: CompileEnvironment, channelType: ChannelType): Way {
  const channel = environment.channel(key);
  if (channel?.type !== channelType) {
    throw new Error(`the account has no ${channelType} channel "${key}"`);
  }
  const { conditions, tracking, isSandbox = false } = channel;
  return {
    channel: { id: channel.id, type: channelType },
    key,
    isSandbox,
    ...(conditions ? { conditions } : {}),
    ...(tracking ? { tracking } : {}),
  };
}

type Rule = ChannelGroup['rules'][number];

function ruleProblems({ type, condition }: Rule, path: string): Problem[] {
  if (type === 'always') return [];
  if (!condition) return [{ path, reason: `a rule of the type "${type}" lacks its condition` }];
  return isCohort(condition) ? [] : conditionListProblems([condition], path);
}

function compileRule({ type, condition }: Rule): ((scope: RunScope) => boolean) | undefined {
  if (type === 'always' || !condition) return undefined;
  const holds = isCohort(condition)
    ? inCohort(Number(condition.argument))
    : compileConditionList([condition]);
  return type === 'if' ? holds : (scope) => !holds(scope);
}

function isCohort(condition: JsonObject): boolean {
  return condition.operator === 'is_in_random_cohort';
}

/** The same recipients for the same share, always and in every group; a larger share has them too. */
function inCohort(percentage: number): (scope: RunScope) => boolean {
  return ({ recipient }) => cohortPosition('channel_group', String(recipient.id)) < percentage;
}

function textOf(value: JsonObject[string] | undefined): string {
  return typeof value === 'string' ? value : '';
}
