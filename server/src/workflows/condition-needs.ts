import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { decodeArgument } from './condition-operands.ts';
import type { CompileEnvironment } from './step.ts';

/** What conditions need beside the run itself, and who loads it has to know beforehand. */
export type ConditionNeeds = {
  /** Keys of the audiences that somebody's membership is asked of. */
  readonly audiences: readonly string[];
  /** Statuses of the messages of earlier steps. */
  readonly messages: boolean;
};

/** The name of a step has 255 characters at most; without a bound, a long template could keep the server for minutes. */
const STATUS =
  /refs(?:\.|\[)(?:[^"\\]|\\"){0,300}(?:delivery_status|engagement_status|\.status)\b|\$message\./;

/** The needs of everything in a workflow, a list of conditions or a preference set; undefined: none. */
export function conditionNeeds(content: Json): ConditionNeeds | undefined {
  const text = JSON.stringify(content);
  const messages = STATUS.test(text);
  const audiences = new Set<string>();
  if (text.includes('audience_member"')) collectAudiences(content, audiences);
  return messages || audiences.size > 0 ? { audiences: [...audiences], messages } : undefined;
}

/** The same of a workflow, with the rules and channels that it sends with. */
export function workflowNeeds(
  content: JsonObject,
  environment: CompileEnvironment,
): ConditionNeeds | undefined {
  const text = JSON.stringify(content);
  const groupKeys = [...text.matchAll(/"channel_group_key":"([^"\\]+)"/g)];
  const rules = groupKeys.flatMap(([, key = '']) => environment.channelGroup(key)?.rules ?? []);
  const channelKeys = [
    ...rules.map(({ channelKey }) => channelKey),
    ...[...text.matchAll(/"channel_key":"([^"\\]+)"/g)].map(([, key = '']) => key),
  ];
  const conditions = [
    ...rules.map(({ condition }) => condition),
    ...channelKeys.map((key) => environment.channel(key)?.conditions),
  ];
  return conditionNeeds([content, ...conditions.filter((one) => one !== undefined)]);
}

export function isAudienceOperator(operator: unknown): boolean {
  return operator === 'is_audience_member' || operator === 'is_not_audience_member';
}

function collectAudiences(value: Json | undefined, audiences: Set<string>): void {
  if (Array.isArray(value)) {
    for (const item of value) collectAudiences(item, audiences);
    return;
  }
  if (!isJsonObject(value)) return;
  if (isAudienceOperator(value.operator)) {
    const key = decodeArgument(value.argument);
    if (typeof key === 'string') audiences.add(key);
    return;
  }
  for (const item of Object.values(value)) collectAudiences(item, audiences);
}
