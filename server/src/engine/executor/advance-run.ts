import { MAX_MESSAGE_PARTS } from '../../lib/address.ts';
import type { JsonObject } from '../../lib/json.ts';
import { RecipientNeeded, type Wanted } from '../../templates/recipient-needed.ts';
import type { CompiledWorkflow } from '../../workflows/compiled-workflow.ts';
import { explainConditions } from '../../workflows/conditions.ts';
import { messagesRef, newMessage } from '../../workflows/message-status.ts';
import { withBatch, withChanges } from '../../workflows/scope.ts';
import type {
  BatchOfRun,
  Channel,
  Effect,
  ProgramStep,
  Question,
  RunScope,
  StepInput,
  StepMessage,
  StepOutcome,
} from '../../workflows/step.ts';
import { StepError } from '../../workflows/step-error.ts';
import { RUN_STATUS, type RunStatus } from '../status.ts';
import { MAX_LOOK_UP_ROUNDS, MAX_LOOKED_UP } from './look-ups.ts';
import { outcomeOf } from './message-outcome.ts';

/** Times that a failing step is tried, the first included. */
const STEP_ATTEMPTS = 3;
const FIRST_RETRY_MS = 30_000;

export type RunInput = {
  readonly workflow: CompiledWorkflow;
  readonly scope: RunScope;
  readonly settings: StepInput['settings'];
  /** It was not executed before. */
  readonly isFirst: boolean;
  /** The step to go on with, and how often it failed before. */
  readonly step: number;
  readonly attempt: number;
  /** What the step to go on with waited for; absent: it is executed. */
  readonly answer?: JsonObject;
  /** The run came out of a batch before. */
  readonly isOfBatch: boolean;
  readonly merged?: number;
  readonly nowMs: number;
  /** The environment's time zone, if it has one. */
  readonly timezone: string | undefined;
  /**
   * Why the recipient must not get a message on this channel, or undefined, as the run stands. Out of a batch, its
   * first activity decides.
   */
  readonly refusal: (channel: Channel, scope: RunScope, isOfBatch: boolean) => string | undefined;
  readonly channelData?: StepInput['channelData'];
  readonly secrets?: StepInput['secrets'];
};

export type RenderedMessage = StepMessage & {
  readonly stepRef: string;
  /** What the run's data had become, when this execution changed it. */
  readonly data?: JsonObject;
  /** The batch that the run came out of, in this execution. */
  readonly batch?: BatchOfRun;
};

export type StepEffect = { readonly stepRef: string; readonly effect: Effect };

/** One line of a run's trace. */
export type StepRecord = {
  readonly step_ref: string;
  readonly step_type: string;
  readonly outcome: 'message' | 'skipped' | 'waiting' | 'continued' | 'halted' | 'error';
  readonly reason?: string;
  readonly attempt?: number;
};

/** Where and when a paused run goes on, and what it has become on the way. */
export type Resumption = {
  readonly dueMs: number;
  readonly step: number;
  readonly attempt: number;
  readonly answer?: JsonObject;
  /** Somebody outside is asked first: `CompiledStep.call`. */
  readonly call?: true;
  /** Which event wakes the run earlier. */
  readonly listen?: Extract<StepOutcome, { kind: 'listen' }>['listen'];
  /** Asked before anything is recorded of the run, where several wake-ups contend for it; see `Gone`. */
  readonly claim?: { readonly ref: string; readonly question: Question };
  readonly data?: JsonObject;
  readonly merged?: number;
  readonly refs?: JsonObject;
  readonly batch?: BatchOfRun;
  /** See `RunState.messages`; known where messages get their ids. */
  readonly messages?: { readonly [ref: string]: readonly string[] };
};

/** Nothing is to be recorded: another wake-up of the run has been, or will be. */
export type Gone = { readonly kind: 'gone' };

export type RunResult = {
  readonly kind: 'result';
  readonly status: RunStatus;
  readonly errorCount: number;
  readonly steps: readonly StepRecord[];
  readonly messages: readonly RenderedMessage[];
  readonly effects: readonly StepEffect[];
  readonly resume?: Resumption;
  /** The recipient was deleted: it is recorded as nobody's. */
  readonly isNobodys?: true;
};

/** A run that cannot go on before the database has answered. */
export type Asking = {
  readonly kind: 'asking';
  readonly stepRef: string;
  readonly question: Question;
  readonly go: (answer: JsonObject) => Advanced;
};

/** A run whose templates name somebody who is not in memory. */
export type Needing = {
  readonly kind: 'needing';
  readonly wants: readonly Wanted[];
  /** Once they are loaded. */
  readonly go: () => Advanced;
};

/** How far a run has come. */
export type Advanced = RunResult | Asking | Needing | Gone;

/**
 * Takes a recipient run from `step` to its end or its next pause. Pure: what it wants to happen is in the
 * result. A step that throws pauses the run and is tried again, twice; then the run ends with an error.
 */
export function advanceRun(input: RunInput): Advanced {
  return new Advance(input).start();
}

/** One execution of a run, from where it stood. */
class Advance {
  readonly #input: RunInput;
  readonly #steps: StepRecord[] = [];
  readonly #messages: RenderedMessage[] = [];
  readonly #effects: StepEffect[] = [];
  #scope: RunScope;
  /** What the execution changed of the run, for its next one. */
  #changed: Pick<Resumption, 'data' | 'merged' | 'refs' | 'batch'> = {};
  #lookUpRounds = 0;
  #lookedUp = 0;
  readonly #refusal: StepInput['refusal'] = (channel) => {
    const { workflow, refusal } = this.#input;
    if (workflow.overridePreferences) return undefined;
    return refusal(channel, this.#scope, this.#isOfBatch());
  };

  constructor(input: RunInput) {
    this.#input = input;
    this.#scope = input.scope;
  }

  start(): Advanced {
    const { workflow, step, answer, isFirst } = this.#input;
    if (!isFirst) return this.#from(step, answer);
    const record = { step_ref: 'trigger', step_type: 'trigger' };
    try {
      if (workflow.conditions && !workflow.conditions(this.#scope)) {
        this.#steps.push({
          ...record,
          outcome: 'halted',
          reason: this.#falseCondition(workflow.conditions),
        });
        return this.#end(0);
      }
    } catch (error) {
      if (this.#mayLookUp(error)) return needing(error, () => this.start());
      this.#steps.push({ ...record, outcome: 'error', reason: reasonOf(error) });
      return this.#end(1);
    }
    const { once } = workflow;
    if (!once) return this.#from(step, answer);
    const question: Question = {
      kind: 'once',
      perTenant: once === 'once_per_recipient_per_tenant',
    };
    const go = (reply: JsonObject): Advanced => {
      if (reply.isFirst === true) return this.#from(step, answer);
      const reason = `trigger_frequency ${once}: the recipient had this workflow before`;
      this.#steps.push({ ...record, outcome: 'halted', reason });
      return this.#end(0);
    };
    return { kind: 'asking', stepRef: 'trigger', question, go };
  }

  /** Executes step after step; `answer` is for the first one. */
  #from(index: number, answer: JsonObject | undefined): Advanced {
    const { steps } = this.#input.workflow;
    let at = index;
    let given = answer;
    while (at < steps.length) {
      const step = steps[at];
      if (!step) break;
      let outcome: StepOutcome | undefined;
      try {
        outcome = this.#outcome(step, at, given);
      } catch (error) {
        if (this.#mayLookUp(error)) {
          const [place, answered] = [at, given];
          return needing(error, () => this.#from(place, answered));
        }
        if (!(error instanceof StepError)) return this.#failed(step, at, given, error);
        // Trying again cannot help this recipient; the other steps can still reach it.
        this.#record(step, 'skipped', error.message);
      }
      given = undefined;
      if (!outcome) {
        at = step.next;
        continue;
      }
      if (outcome.kind === 'ask') {
        const { question } = outcome;
        const place = at;
        const go = (reply: JsonObject): Advanced => this.#from(place, reply);
        return { kind: 'asking', stepRef: step.ref, question, go };
      }
      if (outcome.kind === 'gone') return outcome;
      const next = this.#take(step, at, outcome);
      if (typeof next !== 'number') return next;
      at = next;
    }
    return this.#end(0);
  }

  /** Whether whom a template needs may be loaded; otherwise it is an error like another. */
  #mayLookUp(error: unknown): error is RecipientNeeded {
    if (!(error instanceof RecipientNeeded)) return false;
    const rounds = this.#lookUpRounds + 1;
    const wanted = this.#lookedUp + error.wants.length;
    if (rounds > MAX_LOOK_UP_ROUNDS || wanted > MAX_LOOKED_UP) return false;
    this.#lookUpRounds = rounds;
    this.#lookedUp = wanted;
    return true;
  }

  /** What the step says, or undefined when it is skipped. */
  #outcome(step: ProgramStep, at: number, answer: JsonObject | undefined): StepOutcome | undefined {
    const { nowMs, timezone, settings, channelData, secrets } = this.#input;
    const refusal = this.#refusal;
    const attempt = this.#attemptOf(at);
    const scope = this.#scope;
    const merged = this.#changed.merged ?? this.#input.merged;
    const base = { scope, nowMs, timezone, settings, refusal, attempt };
    const input = {
      ...base,
      ...(merged === undefined ? {} : { merged }),
      ...(channelData ? { channelData } : {}),
      ...(secrets ? { secrets } : {}),
    };
    if (answer !== undefined && step.answer) return step.answer(input, answer);
    if (step.conditions && !step.conditions(this.#scope)) {
      this.#record(step, 'skipped', this.#falseCondition(step.conditions));
      return undefined;
    }
    const refused = step.channel && refusal(step.channel);
    if (refused !== undefined) {
      this.#record(step, 'skipped', `preferences: ${refused}`);
      return undefined;
    }
    return step.execute(input);
  }

  #falseCondition(conditions: (scope: RunScope) => boolean): string {
    return `conditions: ${explainConditions(conditions, this.#scope) ?? 'were false'}`;
  }

  /** Does what an outcome wants; returns the next step, or the result when the run stops here. */
  #take(
    step: ProgramStep,
    at: number,
    outcome: Exclude<StepOutcome, { kind: 'ask' | 'gone' }>,
  ): number | RunResult {
    switch (outcome.kind) {
      case 'message': {
        const messages = outcome.messages.slice(0, MAX_MESSAGE_PARTS);
        if (this.#messages.length + messages.length > MAX_MESSAGE_PARTS) {
          // Ids of an execution's messages are not more; the next one sends the rest.
          return this.#pause({ dueMs: this.#input.nowMs, step: at, attempt: 0 });
        }
        for (const message of messages) {
          const { data, batch } = this.#changed;
          this.#messages.push({
            ...message,
            stepRef: step.ref,
            ...(data ? { data } : {}),
            ...(batch ? { batch } : {}),
          });
        }
        if (this.#input.workflow.needs?.messages) this.#seeMessages(step, messages);
        this.#record(step, 'message', messageReason(outcome));
        return step.next;
      }
      case 'continue':
        this.#change(step, outcome);
        this.#record(step, 'continued', outcome.reason);
        return step.next;
      case 'branch':
        this.#record(step, 'continued', outcome.reason);
        return (outcome.arm === undefined ? undefined : step.arms?.[outcome.arm]) ?? step.next;
      case 'halt':
        this.#affect(step, outcome.effects);
        this.#record(step, 'halted', outcome.reason);
        return this.#end(outcome.failed ? 1 : 0);
      case 'call':
        this.#record(step, 'waiting', 'for the answer of its request');
        return this.#pause({ dueMs: this.#input.nowMs, step: at, attempt: 0, call: true });
      case 'listen': {
        const { untilMs, listen, reason } = outcome;
        this.#record(step, 'waiting', reason);
        const claim = { ref: step.ref, question: { kind: 'wait', event: null } } as const;
        return this.#pause({ dueMs: untilMs, step: at, attempt: 0, answer: {}, listen, claim });
      }
      case 'wait': {
        const { untilMs, answer, reason, claim: question } = outcome;
        this.#affect(step, outcome.effects);
        this.#record(step, 'waiting', reason ?? `until ${new Date(untilMs).toISOString()}`);
        const dueMs = Math.max(untilMs, this.#input.nowMs);
        return answer === undefined
          ? this.#pause({ dueMs, step: step.next, attempt: 0 })
          : this.#pause({
              dueMs,
              step: at,
              attempt: 0,
              answer,
              ...(question ? { claim: { ref: step.ref, question } } : {}),
            });
      }
    }
  }

  /** Conditions of this execution find its own messages as they will be written. */
  #seeMessages(step: ProgramStep, messages: readonly StepMessage[]): void {
    if (messages.length === 0) return;
    const { settings } = this.#input;
    const states = messages.map((message) => newMessage(outcomeOf(message, settings)));
    const refs = { ...this.#scope.refs, [step.ref]: messagesRef(states) };
    this.#scope = { ...this.#scope, refs };
  }

  #isOfBatch(): boolean {
    return this.#input.isOfBatch || this.#changed.batch !== undefined;
  }

  #change(step: ProgramStep, outcome: Extract<StepOutcome, { kind: 'continue' }>): void {
    const { data, merged, ref, batch, activities, effects, recipient, tenant } = outcome;
    this.#affect(step, effects);
    if (activities) this.#scope = withBatch(this.#scope, activities);
    if (batch) this.#changed = { ...this.#changed, batch };
    if (data) this.#changed = { ...this.#changed, data };
    if (merged !== undefined) this.#changed = { ...this.#changed, merged };
    if (data || recipient || tenant) {
      this.#scope = withChanges(this.#scope, { data, recipient, tenant }, this.#isOfBatch());
    }
    if (ref) {
      const refs = { ...this.#scope.refs, [step.ref]: ref };
      this.#changed = { ...this.#changed, refs };
      this.#scope = { ...this.#scope, refs };
    }
  }

  #affect(step: ProgramStep, effects: readonly Effect[] | undefined): void {
    for (const effect of effects ?? []) this.#effects.push({ stepRef: step.ref, effect });
  }

  #failed(
    step: ProgramStep,
    at: number,
    answer: JsonObject | undefined,
    error: unknown,
  ): RunResult {
    const failed = this.#attemptOf(at) + 1;
    this.#record(step, 'error', reasonOf(error), failed);
    if (failed >= STEP_ATTEMPTS) return this.#end(1);
    const { nowMs } = this.#input;
    const dueMs = nowMs + FIRST_RETRY_MS * 2 ** (failed - 1);
    const again = { dueMs, step: at, attempt: failed };
    return this.#pause(answer === undefined ? again : { ...again, answer }, 1);
  }

  #attemptOf(at: number): number {
    return at === this.#input.step ? this.#input.attempt : 0;
  }

  #record(
    step: ProgramStep,
    outcome: StepRecord['outcome'],
    reason?: string,
    attempt?: number,
  ): void {
    this.#steps.push({
      step_ref: step.ref,
      step_type: step.type,
      outcome,
      ...(reason === undefined ? {} : { reason }),
      ...(attempt === undefined ? {} : { attempt }),
    });
  }

  #pause(resume: Resumption, errorCount = 0): RunResult {
    return {
      ...this.#result(RUN_STATUS.paused, errorCount),
      resume: { ...resume, ...this.#changed },
    };
  }

  #end(errorCount: number): RunResult {
    return this.#result(RUN_STATUS.completed, errorCount);
  }

  #result(status: RunStatus, errorCount: number): RunResult {
    return {
      kind: 'result',
      status,
      errorCount,
      steps: this.#steps,
      messages: this.#messages,
      effects: this.#effects,
    };
  }
}

function messageReason({
  messages,
  reason,
}: Extract<StepOutcome, { kind: 'message' }>): string | undefined {
  if (messages.length <= MAX_MESSAGE_PARTS) return reason;
  const left = `a step sends ${MAX_MESSAGE_PARTS} messages at most, ${messages.length - MAX_MESSAGE_PARTS} were left out`;
  return reason === undefined ? left : `${reason}; ${left}`;
}

function needing({ wants }: RecipientNeeded, go: () => Advanced): Needing {
  return { kind: 'needing', wants, go };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
