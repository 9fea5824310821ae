import type { TSchema } from 'typebox';
import type { Json, JsonObject } from '../lib/json.ts';

/** What templates and conditions of a run can see. Data keys are also usable at the top level. */
export type RunScope = {
  readonly recipient: JsonObject;
  readonly actor: JsonObject | null;
  readonly tenant: JsonObject | null;
  readonly data: JsonObject;
  readonly workflow: JsonObject;
  readonly vars: JsonObject;
  /** ISO 8601, UTC. */
  readonly timestamp: string;
  readonly [key: string]: Json;
};

/** What a channel step rendered, in the form in which the message row keeps it. */
export type MessageContent = JsonObject;

export type ChannelType = 'email' | 'in_app_feed' | 'sms' | 'push' | 'chat' | 'http';

/** What a step wants to happen. The engine does it; a step touches nothing itself. */
export type StepOutcome =
  | {
      readonly kind: 'message';
      readonly channelId: string;
      readonly channelType: ChannelType;
      readonly content: MessageContent;
    }
  /** Resume with the next step at this time (milliseconds since 1970). */
  | { readonly kind: 'wait'; readonly untilMs: number }
  | { readonly kind: 'continue'; readonly reason?: string }
  | { readonly kind: 'halt'; readonly reason: string };

export type StepInput = {
  readonly scope: RunScope;
  readonly nowMs: number;
  /** The trigger's settings. */
  readonly settings: { readonly sandbox_mode?: boolean; readonly skip_delay?: boolean };
};

/** A step, made ready once a version: templates parsed, conditions compiled, channel resolved. */
export type CompiledStep = {
  readonly ref: string;
  readonly type: string;
  /** For channel steps: what preferences decide on. */
  readonly channel?: { readonly id: string; readonly type: ChannelType };
  /** Absent: always. */
  readonly conditions?: (scope: RunScope) => boolean;
  /** Throws a TemplateError (or any error) when this recipient's step cannot be done. */
  readonly execute: (input: StepInput) => StepOutcome;
};

/** What a step may refer to while it is validated and compiled. */
export type CompileEnvironment = {
  /** The account's channel of this key, or undefined. */
  readonly channel: (
    key: string,
  ) => { id: string; type: ChannelType; provider: string } | undefined;
};

/** A defect of a workflow: where (JSON path such as `$.steps[2].template.subject`) and why. */
export type Problem = { readonly path: string; readonly reason: string };

/**
 * One kind of step: the single place that knows its JSON, its checks and its behaviour.
 * A new kind is one file beside this one and one line in `steps/registry.ts`.
 */
export type StepDefinition = {
  /** `type`, or `type/channel_type` for channel steps: `delay`, `channel/email`. */
  readonly type: string;
  readonly schema: TSchema;
  /** Problems beyond the schema: unknown channel, template syntax. `path` is the step's own. */
  readonly problems: (step: JsonObject, path: string, environment: CompileEnvironment) => Problem[];
  /** Called with a step that has no problems. */
  readonly compile: (step: JsonObject, environment: CompileEnvironment) => CompiledStep;
};
