import { type TSchema, Type } from 'typebox';
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import { compileConditions, conditionProblems } from '../conditions.ts';
import { nullable } from '../nullable.ts';
import { nextOpening, parseSendWindows, sendWindowProblems } from '../send-windows.ts';
import type {
  Channel,
  ChannelType,
  CompiledStep,
  CompileEnvironment,
  MessageContent,
  Problem,
  RunScope,
  StepInput,
  StepMessage,
} from '../step.ts';
import { StepError } from '../step-error.ts';
import { chooseTimeZone } from '../time-zone.ts';
import { compileWays, type Way, wayProblems } from './channel-ways.ts';

/** The fields that every step has. */
export const stepFields = {
  ref: Type.String({ minLength: 1, maxLength: 255 }),
  name: nullable(Type.String()),
  description: nullable(Type.String()),
  conditions: nullable(Type.Object({})),
};

const SendWindow = Type.Object({
  day: Type.Enum(['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday']),
  type: Type.Enum(['send', 'do_not_send']),
  from: nullable(Type.String()),
  until: nullable(Type.String()),
});

/** The schema of a channel step of a type. */
export function channelStepSchema(
  channelType: ChannelType,
  template: TSchema,
  overrides?: TSchema,
): TSchema {
  return Type.Object({
    ...stepFields,
    type: Type.Literal('channel'),
    channel_type: nullable(Type.Literal(channelType)),
    channel_key: nullable(Type.String({ minLength: 1 })),
    channel_group_key: nullable(Type.String()),
    ...(overrides ? { channel_overrides: nullable(overrides) } : {}),
    send_windows: nullable(Type.Array(SendWindow, { maxItems: 7 })),
    template,
  });
}

/** Problems that every channel step can have: conditions, channel, send windows. */
export function channelStepProblems(
  step: JsonObject,
  path: string,
  environment: CompileEnvironment,
  channelType: ChannelType,
): Problem[] {
  return [
    ...conditionProblems(step.conditions, `${path}.conditions`),
    ...wayProblems(step, path, environment, channelType),
    ...sendWindowProblems(step.send_windows, `${path}.send_windows`),
  ];
}

/** A message for one of the places that a recipient has on a channel. */
export type Letter = {
  readonly content: MessageContent;
  /** Where the place is, for send windows; absent: where the recipient is. */
  readonly timezone?: string;
};

/**
 * What a step says on a channel: a message's content, or one for each of the recipient's places there. Throws a
 * StepError for a recipient who cannot be reached.
 */
export type Render = (input: StepInput, channel: Channel) => MessageContent | readonly Letter[];

/** A channel step of a type, of which only what it says is its own. */
export function compileChannelStep(
  step: JsonObject,
  environment: CompileEnvironment,
  channelType: ChannelType,
  render: Render,
): CompiledStep {
  const { ways, isGroup, operator } = compileWays(step, environment, channelType);
  const dueMs = compileSendTime(step);
  const send = (input: StepInput, way: Way): readonly StepMessage[] => {
    const rendered = render(input, way.channel);
    const letters = Array.isArray(rendered) ? rendered : undefined;
    if (!letters) return [message(way, rendered as MessageContent, dueMs?.(input, undefined))];
    return letters.map(({ content, timezone }) => message(way, content, dueMs?.(input, timezone)));
  };
  const base = { ref: String(step.ref), type: 'channel' };
  const [only] = ways;
  if (isGroup || !only) {
    return { ...base, ...compiledConditions(step), execute: throughGroup(ways, operator, send) };
  }
  return {
    ...base,
    channel: only.channel,
    ...compiledConditions(withConditionsOf(only, step)),
    execute: (input) => ({ kind: 'message', messages: send(input, only) }),
  };
}

/**
 * Each way whose rule matches is preferred or refused by itself, and one that fails keeps no other from being tried; of
 * the operator `any` until one sends.
 */
function throughGroup(
  ways: readonly Way[],
  operator: 'any' | 'all',
  send: (input: StepInput, way: Way) => readonly StepMessage[],
): CompiledStep['execute'] {
  return (input) => {
    const applying = ways.filter((way) => way.applies?.(input.scope) ?? true);
    const messages: StepMessage[] = [];
    const reasons: string[] = [];
    for (const way of applying) {
      if (operator === 'any' && messages.length > 0) break;
      const refused = input.refusal(way.channel);
      if (refused !== undefined) {
        reasons.push(`${way.key}: ${refused}`);
        continue;
      }
      try {
        messages.push(...send(input, way));
      } catch (error) {
        if (!(error instanceof StepError)) throw error;
        reasons.push(`${way.key}: ${error.message}`);
      }
    }
    const reason = reasons.join('; ');
    if (messages.length > 0) return { kind: 'message', messages, ...(reason ? { reason } : {}) };
    throw new StepError(
      'no_channel',
      reason || 'no rule of the channel group matches this recipient',
    );
  };
}

function message(way: Way, content: MessageContent, scheduledMs: number | undefined): StepMessage {
  const { id: channelId, type: channelType } = way.channel;
  return {
    channelId,
    channelType,
    content: tracked(way, content),
    ...(way.isSandbox ? { sandbox: true } : {}),
    ...(scheduledMs === undefined ? {} : { scheduledMs }),
  };
}

/** What the step says of tracking goes over what the channel says. */
function tracked({ tracking }: Way, content: MessageContent): MessageContent {
  if (!tracking) return content;
  const own = isJsonObject(content.tracking) ? content.tracking : {};
  return { ...content, tracking: { ...tracking, ...own } };
}

/** When a message may be sent; undefined: at once, and always so where the step has no send windows. */
function compileSendTime(
  step: JsonObject,
): ((input: StepInput, device: string | undefined) => number | undefined) | undefined {
  const windows = parseSendWindows(step.send_windows);
  if (!windows) return undefined;
  // The recipients of an assignment live in few zones, and all are asked about the same time.
  let askedAtMs = Number.NaN;
  const openings = new Map<string, number | undefined>();
  return ({ scope, nowMs, timezone: environmentTimezone }, device) => {
    if (nowMs !== askedAtMs) openings.clear();
    askedAtMs = nowMs;
    const { timezone } = chooseTimeZone(device, scope.recipient.timezone, environmentTimezone);
    if (!openings.has(timezone)) openings.set(timezone, nextOpening(windows, nowMs, timezone));
    const openMs = openings.get(timezone);
    return openMs === nowMs ? undefined : openMs;
  };
}

/** The channel's conditions hold beside those of the step. */
function withConditionsOf({ conditions }: Way, step: JsonObject): JsonObject {
  if (!conditions) return step;
  return isSet(step.conditions)
    ? { conditions: { all: [step.conditions ?? {}, conditions] } }
    : { conditions };
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
