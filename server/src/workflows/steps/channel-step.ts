import { type TSchema, Type } from 'typebox';
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import { compileConditions, conditionProblems } from '../conditions.ts';
import { nullable } from '../schema-problems.ts';
import type {
  Channel,
  ChannelType,
  CompiledStep,
  CompileEnvironment,
  MessageContent,
  Problem,
  RunScope,
  StepOutcome,
} from '../step.ts';

/** The fields that every step has. */
export const stepFields = {
  ref: Type.String({ minLength: 1, maxLength: 255 }),
  name: nullable(Type.String()),
  description: nullable(Type.String()),
  conditions: nullable(Type.Object({})),
};

/** The schema of a channel step of a type. */
export function channelStepSchema(
  channelType: ChannelType,
  template: TSchema,
  overrides: TSchema = Type.Object({}),
): TSchema {
  return Type.Object({
    ...stepFields,
    type: Type.Literal('channel'),
    channel_type: nullable(Type.Literal(channelType)),
    channel_key: nullable(Type.String({ minLength: 1 })),
    channel_group_key: nullable(Type.String()),
    channel_overrides: nullable(overrides),
    send_windows: nullable(Type.Array(Type.Object({}))),
    template,
  });
}

/** Problems that every channel step can have: conditions, channel, what comes later. */
export function channelStepProblems(
  step: JsonObject,
  path: string,
  environment: CompileEnvironment,
  channelType: ChannelType,
): Problem[] {
  const problems = conditionProblems(step.conditions, `${path}.conditions`);
  if (isSet(step.channel_group_key)) {
    problems.push(notYet(`${path}.channel_group_key`, 'channel groups; name a channel_key'));
  }
  if (Array.isArray(step.send_windows) && step.send_windows.length > 0) {
    problems.push(notYet(`${path}.send_windows`, 'send windows'));
  }
  if (!isSet(step.channel_key)) {
    if (!isSet(step.channel_group_key)) {
      problems.push({ path, reason: 'lacks "channel_key", the key of the channel to send with' });
    }
    return problems;
  }
  const key = String(step.channel_key);
  const channel = environment.channel(key);
  const channelPath = `${path}.channel_key`;
  if (!channel) {
    problems.push({ path: channelPath, reason: `the account has no channel "${key}"` });
  } else if (channel.type !== channelType) {
    const reason = `the channel "${key}" is of the type ${channel.type}, the step needs ${channelType}`;
    problems.push({ path: channelPath, reason });
  }
  return problems;
}

/** The parts of a compiled step that do not depend on its type. */
export function compileChannelStep(
  step: JsonObject,
  environment: CompileEnvironment,
  channelType: ChannelType,
): Omit<CompiledStep, 'execute' | 'channel'> & {
  readonly channel: { id: string; type: ChannelType };
} {
  const channel = environment.channel(String(step.channel_key));
  if (channel?.type !== channelType) {
    throw new Error(`the account has no ${channelType} channel "${String(step.channel_key)}"`);
  }
  return {
    ref: String(step.ref),
    type: 'channel',
    channel: { id: channel.id, type: channelType },
    ...compiledConditions(step),
  };
}

/** The step's own conditions; nothing when it has none, so that running it costs nothing. */
export function compiledConditions(step: JsonObject): {
  readonly conditions?: (scope: RunScope) => boolean;
} {
  const { conditions } = step;
  if (!isJsonObject(conditions) || Object.keys(conditions).length === 0) return {};
  return { conditions: compileConditions(conditions) };
}

/** A feature of the wire contract that would change what a step does, refused until it exists. */
export function notYet(path: string, feature: string): Problem {
  return { path, reason: `not supported yet: ${feature}` };
}

export function isSet(value: Json | undefined): boolean {
  return value !== undefined && value !== null && value !== '';
}

/** The outcome of a step that sends one message. */
export function oneMessage(channel: Channel, content: MessageContent): StepOutcome {
  const { id: channelId, type: channelType } = channel;
  return { kind: 'message', messages: [{ channelId, channelType, content }] };
}
