import type { TSchema } from 'typebox';
import type { Json, JsonObject } from '../lib/json.ts';
import type { TemplateEnvironment } from '../templates/template-environment.ts';
import type { Lookup, lookup } from '../templates/template-scope.ts';
import type { BatchScope } from './scope.ts';
import type { StepSecrets } from './step-secrets.ts';
import type { Duration } from './timestamps.ts';

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
  /** `total_activities`, `total_actors`: of the batch that the run came out of, else of its trigger alone. */
  readonly run: JsonObject;
  /** What came of earlier steps, by their refs: message statuses, `matched` of waits. */
  readonly refs: JsonObject;
  /** The first or last of a batch's activities; without a batch the run's own. */
  readonly activities: readonly JsonObject[];
  readonly actors: readonly JsonObject[];
  /** Whom templates can look up by id; not in JSON. */
  readonly [lookup]?: Lookup | undefined;
  /** Audiences that `recipient` and `actor` are in, of those that conditions ask about: `{"recipient": {"beta": true}}`. */
  readonly $audiences: JsonObject;
  readonly [key: string]: Json;
};

/** What a channel step rendered, in the form in which the message row keeps it. */
export type MessageContent = JsonObject;

export type ChannelType = 'email' | 'in_app_feed' | 'sms' | 'push' | 'chat' | 'http';

export type Channel = { readonly id: string; readonly type: ChannelType };

export type StepMessage = {
  readonly channelId: string;
  readonly channelType: ChannelType;
  readonly content: MessageContent;
  /** Not sent before this time (send windows); absent: at once. */
  readonly scheduledMs?: number;
  /** Recorded, never sent. */
  readonly sandbox?: boolean;
};

/**
 * What a step asks the database, in the transaction that writes the run's results: what it takes there is taken
 * if the run goes on, and only then. `kind` names who answers.
 */
export type Question =
  | BatchQuestion
  | ThrottleQuestion
  | OnceQuestion
  | WaitQuestion
  | TriggerQuestion;

/** Which effects trigger this workflow with this request, as the API would have it? */
export type TriggerQuestion = {
  readonly kind: 'trigger';
  readonly workflowKey: string;
  readonly request: JsonObject;
  readonly fanOut: boolean;
};

/** Is the wake-up the first of its wait? */
export type WaitQuestion = { readonly kind: 'wait' } & JsonObject;

export type BatchQuestion = { readonly kind: 'batch' } & (
  | {
      readonly op: 'join';
      /** The step's batch key; the recipient is part of every key. */
      readonly key: string;
      /** Only runs of one version share a window. */
      readonly isPinned: boolean;
      /** When a window that this run opens closes; of a sliding one, when it closes if nobody else joins. */
      readonly closesMs: number;
      /** Of a sliding window: the longest time that it can be open. */
      readonly extension?: Duration;
      /** It closes when it has so many activities. */
      readonly limit?: number;
      /** Who opens it goes on at once and is not in it. */
      readonly isLeadingFlushed: boolean;
      /** The run's data. */
      readonly data: JsonObject;
    }
  | {
      readonly op: 'close';
      readonly window: number;
      readonly order: 'asc' | 'desc';
      readonly limit: number;
      /** Another wake-up of the run may have closed it: only who deletes the carrier does. */
      readonly hasCarrier: boolean;
      /** Whatever time it is, and nobody needs what is in it. */
      readonly isAbandoned: boolean;
    }
);

/** May the run pass, of `limit` that do until the window of the first closes? */
export type ThrottleQuestion = {
  readonly kind: 'throttle';
  readonly key: string;
  readonly limit: number;
  readonly closesMs: number;
};

/** Is it the recipient's first run of the workflow? */
export type OnceQuestion = { readonly kind: 'once'; readonly perTenant: boolean };

/** Something that the run changes elsewhere, written with its results. `kind` names who writes it. */
export type Effect = {
  readonly kind: 'recipient' | 'audience' | 'trigger' | 'listen' | 'batch';
} & JsonObject;

/** What a step wants to happen. The engine does it; a step touches nothing itself. */
export type StepOutcome =
  | {
      readonly kind: 'message';
      readonly messages: readonly StepMessage[];
      readonly reason?: string;
    }
  /**
   * Resume at this time (milliseconds since 1970): with the next step, or with `answer` of this one when there is
   * an `answer` to give it.
   */
  | {
      readonly kind: 'wait';
      readonly untilMs: number;
      readonly answer?: JsonObject;
      readonly reason?: string;
      /** Asked, in place of the step, when the run is stopped meanwhile or fails; `taken` says whether that counts. */
      readonly claim?: Question;
      readonly effects?: readonly Effect[];
    }
  /** As `wait`, but an event can wake the run earlier, with the answer `{event}`; the end comes with `{}`. */
  | {
      readonly kind: 'listen';
      readonly untilMs: number;
      readonly listen: { readonly kind: string; readonly source: string; readonly event: string };
      readonly reason: string;
    }
  | {
      readonly kind: 'continue';
      readonly reason?: string;
      /** The run's data from here on, whole. */
      readonly data?: JsonObject;
      /** `StepInput.merged` from here on. */
      readonly merged?: number;
      /** The run's recipient and tenant as templates see them from here on. */
      readonly recipient?: JsonObject;
      readonly tenant?: JsonObject;
      /** What conditions and templates find under `refs.<ref of this step>`. */
      readonly ref?: JsonObject;
      /** The batch whose activities the run has from here on; `activities` is what they are. */
      readonly batch?: BatchOfRun;
      readonly activities?: BatchScope;
      readonly effects?: readonly Effect[];
    }
  /** Over, here. `failed` counts as an error of the run. */
  | {
      readonly kind: 'halt';
      readonly reason: string;
      readonly failed?: boolean;
      readonly effects?: readonly Effect[];
    }
  /** Go on with an arm of `StepDefinition.arms`, or with none of them. */
  | { readonly kind: 'branch'; readonly arm: number | undefined; readonly reason?: string }
  /** Answered at once, by the database; then `answer` says what happens. */
  | { readonly kind: 'ask'; readonly question: Question }
  /** Somebody else has woken the run before, or nothing is to be done: only the receipt is written. */
  | { readonly kind: 'gone' }
  /** Answered by somebody outside, while the run waits in a chunk of calls; then `answer` says what happens. */
  | { readonly kind: 'call' };

/** A closed batch: its activities are read by whoever needs them. */
export type BatchOfRun = {
  readonly window: number;
  readonly order: 'asc' | 'desc';
  /** At most so many of its activities are given to templates. */
  readonly limit: number;
  /** What was cancelled later is in it still. */
  readonly closedMs: number;
  readonly totalActivities: number;
  readonly totalActors: number;
};

/** What a run is told whose batch is closed now. */
export type ClosedBatch = {
  readonly batch: BatchOfRun;
  readonly activities: BatchScope;
  /** The run's data from here on. */
  readonly data: JsonObject;
};

/** What a trigger says of its runs. */
export type TriggerSettings = {
  readonly sandbox_mode?: boolean;
  readonly skip_delay?: boolean;
  /** How many workflows triggered each other until this one. */
  readonly depth?: number;
};

export type StepInput = {
  readonly scope: RunScope;
  readonly nowMs: number;
  /** The environment's time zone, for recipients without one of their own. */
  readonly timezone?: string | undefined;
  /** The trigger's settings. */
  readonly settings: TriggerSettings;
  /** How often this step failed before, in this run. */
  readonly attempt: number;
  /** Characters of JSON that steps have put into the run's data; absent: none. */
  readonly merged?: number;
  /** Why the recipient must not get a message on this channel, or undefined. */
  readonly refusal: (channel: Channel) => string | undefined;
  /** The recipient's push tokens and chat connections by channel id; absent: none, or nobody needs them. */
  readonly channelData?: { readonly [channelId: string]: JsonObject };
  /** For requests alone: the scope has none. Absent: there are none, and nothing can be sealed. */
  readonly secrets?: StepSecrets;
};

/** A step, made ready once a version: templates parsed, conditions compiled, channel resolved. */
export type CompiledStep = {
  readonly ref: string;
  readonly type: string;
  /** For channel steps with one channel: what preferences decide on, before the step is executed. */
  readonly channel?: Channel;
  /** Looks at the recipient's channel data. */
  readonly needsChannelData?: true;
  /** Absent: always. */
  readonly conditions?: (scope: RunScope) => boolean;
  /** Throws a TemplateError (or any error) when this recipient's step cannot be done. */
  readonly execute: (input: StepInput) => StepOutcome;
  /** What happens after an `ask`, a `call`, or a `wait` with an answer. */
  readonly answer?: (input: StepInput, answer: JsonObject) => StepOutcome;
  /** What a `call` is to ask: rendered just before, and not kept, because secrets may be in it. */
  readonly request?: (input: StepInput) => JsonObject;
  /**
   * Asks it, outside of any transaction. Rejects when that is to be tried again; with a `StepError` when it is of no use.
   */
  readonly call?: (request: JsonObject, tools: CallTools) => Promise<JsonObject>;
};

/** What a call may use. Each ends by itself, within the time that it is given or has. */
export type CallTools = {
  /** An HTTP request to whatever webhooks may reach. Never rejects. */
  readonly request: (request: CallRequest) => Promise<CallResponse>;
  /** Where AI steps ask; absent: nowhere. */
  readonly model?: ModelEndpoint;
};

export type CallRequest = {
  /** `method`, `url`, `headers` and `query_params` as pairs of key and value, `body`. */
  readonly content: JsonObject;
  readonly timeoutMs: number;
  readonly maxBytes: number;
  readonly signingKey?: string;
  /** An endpoint of the operator's, which may be on a private address. */
  readonly isTrusted?: boolean;
};

/** What was answered; or why nothing was, and whether asking again may help. */
export type CallResponse =
  | { readonly status: number; readonly body: string }
  | { readonly failed: string; readonly again: boolean };

/** An OpenAI-compatible endpoint. */
export type ModelEndpoint = {
  /** Such as `https://api.example.com/v1`. */
  readonly url: string;
  readonly apiKey: string | undefined;
};

/** What `answer` gets after a call: what `call` resolved to, or why it did not, and how often it was tried. */
export type CallAnswer = {
  readonly attempts: number;
  readonly result?: JsonObject;
  readonly error?: string;
};

/** A step in its workflow's program: what follows it, and where its arms begin. */
export type ProgramStep = CompiledStep & {
  /** Index of the step that follows; the program's length: the end. */
  readonly next: number;
  /** Index of the first step of each arm. */
  readonly arms?: readonly number[];
};

/** Steps inside a step: those of a branch, of a cohort. */
export type Arm = {
  readonly steps: readonly JsonObject[];
  /** Where the list is, such as `branches[0].steps`. */
  readonly path: string;
  /** The run ends with the arm. */
  readonly terminates: boolean;
};

/** What a step may refer to while it is validated and compiled. */
export type CompileEnvironment = {
  /** The account's channel of this key, or undefined. */
  readonly channel: (key: string) => EnvironmentChannel | undefined;
  readonly channelGroup: (key: string) => ChannelGroup | undefined;
  readonly layout: (key: string) => EmailLayout | undefined;
  /** Whether the environment has a workflow of this key. */
  readonly workflow: (key: string) => boolean;
  /** Whether the environment has an audience of this key. */
  readonly audience: (key: string) => boolean;
  /** Whether the environment has a guide of this key. */
  readonly guide: (key: string) => boolean;
  /** Whether the account has a channel for guides of this key; workflows do not send to it. */
  readonly guideChannel: (key: string) => boolean;
  readonly templates: TemplateEnvironment;
};

/** A channel as one environment has it. */
export type EnvironmentChannel = {
  readonly id: string;
  readonly type: ChannelType;
  readonly provider: string;
  /** Messages are recorded and not sent. */
  readonly isSandbox?: boolean;
  /** A group of conditions that hold for every step that uses the channel, beside its own. */
  readonly conditions?: JsonObject;
  /** What is tracked, where a step says nothing else: `links`, `opens`. */
  readonly tracking?: JsonObject;
};

/** Several channels of one type behind one key. */
export type ChannelGroup = {
  readonly type: ChannelType;
  /** `any`: the first channel whose rule matches; `all`: each of them. */
  readonly operator: 'any' | 'all';
  readonly rules: readonly {
    readonly type: 'if' | 'unless' | 'always';
    readonly channelKey: string;
    readonly condition?: JsonObject;
  }[];
};

/** What e-mails of a layout have around their content. */
export type EmailLayout = {
  readonly html: string;
  readonly text: string;
  readonly isMjml: boolean;
  readonly footerLinks: readonly { readonly text: string; readonly url: string }[];
  /** In place of the same fields of `vars.branding`. */
  readonly branding?: JsonObject;
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
  /** The lists of steps inside the step; absent: none. */
  readonly arms?: (step: JsonObject) => readonly Arm[];
  /** Whether a run goes into one of the arms in any case. */
  readonly alwaysTakesArm?: (step: JsonObject) => boolean;
  /** Called with a step that has no problems. */
  readonly compile: (step: JsonObject, environment: CompileEnvironment) => CompiledStep;
};
