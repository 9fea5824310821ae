import { Packs } from '../../bodies/packs.ts';
import { channelTypeNumber } from '../../channels/channel-type.ts';
import { messageEventTypes } from '../../feed/message-event-type.ts';
import { addressesOf, MAX_MESSAGE_PARTS } from '../../lib/address.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { CompiledWorkflow } from '../../workflows/compiled-workflow.ts';
import type { Effect, Question } from '../../workflows/step.ts';
import type { FeedChange } from '../engine.ts';
import {
  type ChunkRun,
  environmentOfLane,
  isResumed,
  type NewChunk,
  RUNS,
  type RunState,
  type RunsBody,
  SLICE_RUNS,
  USERS,
} from '../log/chunk.ts';
import { MESSAGE_STATUS, RUN_STATUS } from '../status.ts';
import type { Advanced, Asking, Needing, RenderedMessage, StepRecord } from './advance-run.ts';
import type { DecodedChunk } from './chunk-cache.ts';
import {
  type Ask,
  type Asked,
  type Asker,
  claimed,
  ended,
  evaluateRun,
  type SharedByTrigger,
  type Surroundings,
  shareTrigger,
} from './evaluate-run.ts';
import { type FanOutEntry, fanOutChunks } from './fan-out-chunks.ts';
import { collectionOf, idOf } from './load-recipients.ts';
import type { WantedIn } from './look-ups.ts';
import { outcomeOf } from './message-outcome.ts';
import { nextState, PausedRuns, QueuedDeliveries } from './products.ts';
import { Results } from './results.ts';
import { type GovernedTriggers, RunsAside } from './set-aside.ts';

/** A slice with all that its runs need, in the order of the chunk. */
export type PreparedSlice = {
  readonly stream: number;
  readonly sequence: number;
  readonly slice: number;
  readonly chunk: DecodedChunk<RunsBody>;
  readonly skip: readonly number[];
  /** Not evaluated: their runs are set aside. */
  readonly governed: GovernedTriggers;
};

export type Evaluation = {
  readonly results: Results;
  /** Deliveries, waits, retries, fan-outs, and what is set aside. */
  readonly chunks: readonly NewChunk[];
  /** In the order of the runs. */
  readonly effects: readonly Asked<Effect>[];
  readonly feeds: readonly FeedChange[];
};

/**
 * How long evaluation may keep the process from anything else, but for one run's own time. Short, because a
 * small assignment that comes meanwhile has its turn then; it costs microseconds.
 */
const BREATH_MS = 10;

const NO_STATE: RunState = {};
const EVENT_PARTS = MAX_MESSAGE_PARTS / 2;
const POISONED: readonly StepRecord[] = [
  {
    step_ref: 'run',
    step_type: 'run',
    outcome: 'error',
    reason: 'this run could not be evaluated or stored; the log has a line with its id',
  },
];

/** A run on its way: where it is in its slice, and how far it has come. */
type Runner = {
  readonly index: number;
  readonly number: number;
  readonly recipient: ChunkRun[1];
  readonly state: RunState;
  readonly id: string;
  advanced: Advanced;
};

type Course = {
  readonly slice: PreparedSlice;
  readonly runners: readonly Runner[];
  readonly setAside: number;
};

/**
 * Evaluates slices: everything that happens is in the result. What runs ask is answered for all of them at once,
 * round by round; where nobody asks there is no I/O.
 */
export async function evaluate(
  slices: readonly PreparedSlice[],
  around: Surroundings,
  ask: Ask,
): Promise<Evaluation> {
  const aside = new RunsAside(RUNS);
  const courses: Course[] = [];
  const breath = { atMs: performance.now() };
  for (const slice of slices) courses.push(await setOff(slice, around, aside, breath));
  await answerAll(courses, around, ask);
  const outcome = record(courses, around);
  return { ...outcome, chunks: [...outcome.chunks, ...aside.chunks()] };
}

/** Takes each run of a slice as far as it goes without asking. */
async function setOff(
  slice: PreparedSlice,
  around: Surroundings,
  aside: RunsAside,
  breath: { atMs: number },
): Promise<Course> {
  const { stream, sequence, chunk, skip, governed } = slice;
  const { triggers, runs } = chunk.body;
  const environmentId = environmentOfLane(chunk.laneId);
  const runId = addressesOf(chunk.acceptedMs, stream, sequence);
  const shared: (SharedByTrigger | undefined)[] = [];
  const runners: Runner[] = [];
  let setAside = 0;
  const from = slice.slice * SLICE_RUNS;
  const to = Math.min(from + SLICE_RUNS, runs.length);
  for (let index = from; index < to; index++) {
    const run = runs[index];
    const trigger = run && triggers[run[0]];
    if (!run || !trigger) continue;
    if (performance.now() - breath.atMs > BREATH_MS) {
      await around.breathe();
      breath.atMs = performance.now();
    }
    const [number, recipient, state = NO_STATE] = run;
    const id = state.id ?? runId(index, 0);
    const rule = governed.get(number);
    if (rule) {
      aside.add(rule, { stream, sequence }, chunk, trigger, recipient, state, id);
      setAside += 1;
      continue;
    }
    around.announce?.(stream, sequence, index);
    const common = shared[number] ?? shareTrigger(trigger, environmentId, around);
    shared[number] = common;
    const advanced = skip.includes(index)
      ? claimed(state, ended(RUN_STATUS.completed, 1, POISONED))
      : evaluateRun(run, state, common, around);
    runners.push({ index, number, recipient, state, id, advanced });
  }
  return { slice, runners, setAside };
}

/**
 * Rounds of questions and answers, until nobody asks or needs anything. A run asks at most once for each step that it
 * takes, and needs somebody a few times.
 */
async function answerAll(
  courses: readonly Course[],
  around: Surroundings,
  ask: Ask,
): Promise<void> {
  for (;;) {
    await lookUpAll(courses, around);
    const waiting: { readonly runner: Runner; readonly asking: Asking }[] = [];
    const questions: Asked<Question>[] = [];
    for (const { slice, runners } of courses) {
      for (const runner of runners) {
        const { advanced } = runner;
        if (advanced.kind !== 'asking') continue;
        waiting.push({ runner, asking: advanced });
        questions.push({ by: asker(slice, runner, advanced.stepRef), about: advanced.question });
      }
    }
    if (questions.length === 0) return;
    const answers = await ask(questions);
    waiting.forEach(({ runner, asking }, i) => {
      runner.advanced = asking.go(answers[i] ?? {});
    });
  }
}

/** Loads whom templates name, for all runs at once, until those runs can go on. */
async function lookUpAll(courses: readonly Course[], around: Surroundings): Promise<void> {
  for (;;) {
    const needing: (readonly [Runner, Needing])[] = [];
    const wants: WantedIn[] = [];
    for (const { slice, runners } of courses) {
      const environmentId = environmentOfLane(slice.chunk.laneId);
      for (const runner of runners) {
        const { advanced } = runner;
        if (advanced.kind !== 'needing') continue;
        needing.push([runner, advanced]);
        for (const want of advanced.wants) wants.push({ ...want, environmentId });
      }
    }
    if (needing.length === 0) return;
    await around.loadLookUps(wants);
    for (const [runner, { go }] of needing) runner.advanced = go();
  }
}

function asker({ chunk }: PreparedSlice, { number, recipient, id }: Runner, ref: string): Asker {
  const trigger = chunk.body.triggers[number];
  if (!trigger) throw new TypeError(`the run ${id} has no trigger`);
  const { laneId, flow } = chunk;
  const environmentId = environmentOfLane(laneId);
  return { environmentId, laneId, flow, trigger, recipient, runId: id, ref };
}

/** Which messages the run's steps have made so far, where the workflow asks for their statuses. */
function messagesOfRun(
  workflow: CompiledWorkflow | Error,
  { messages: before }: RunState,
  made: readonly RenderedMessage[],
  idOfPart: (part: number) => string,
): Pick<RunState, 'messages'> {
  if (workflow instanceof Error || !workflow.needs?.messages) return {};
  const messages: Record<string, readonly string[]> = { ...before };
  made.forEach(({ stepRef }, part) => {
    messages[stepRef] = [...(messages[stepRef] ?? []), idOfPart(part + 1)];
  });
  return { messages };
}

/** What became of the runs, as rows, chunks and effects. */
function record(courses: readonly Course[], around: Surroundings): Evaluation {
  const packs = around.bodies && new Packs(around.bodies);
  const results = new Results(packs);
  const feeds: FeedChange[] = [];
  const effects: Asked<Effect>[] = [];
  const deliveries = new QueuedDeliveries();
  const paused = new PausedRuns();
  const fanOuts: FanOutEntry[] = [];
  for (const { slice: prepared, runners, setAside } of courses) {
    const { stream, sequence, slice, chunk } = prepared;
    const environmentId = environmentOfLane(chunk.laneId);
    const triggerNumbers: number[] = [];
    const productId = addressesOf(around.nowMs, stream, sequence);
    let failed = 0;
    for (const runner of runners) {
      const { index, number, recipient, state, id, advanced: result } = runner;
      const trigger = chunk.body.triggers[number];
      if (!trigger || result.kind !== 'result') continue;
      if (result.status === RUN_STATUS.completed && result.errorCount > 0) failed += 1;
      if (state.fan && !isResumed(state)) {
        const { fan } = state;
        const legs = around.legs(fan);
        if (legs.length > 0)
          fanOuts.push({ place: chunk, trigger, recipient, fan: { ...fan, legs } });
      }
      triggerNumbers[number] ??= results.addTrigger(trigger, environmentId);
      const collection = collectionOf(recipient);
      const recipientId = idOf(recipient);
      const runNumber = results.addRun(
        triggerNumbers[number] ?? 0,
        id,
        collection,
        result.isNobodys ? '' : recipientId,
        result.status,
        result.errorCount,
        JSON.stringify(result.steps),
        state.segment ?? 0,
      );
      result.messages.forEach((message, part) => {
        const eventId = productId(index, part + 1 + EVENT_PARTS);
        const { scheduledMs } = message;
        const inApp = message.channelType === 'in_app_feed';
        // The feed is in the order of ids, and this message comes into it later.
        const messageId =
          inApp && scheduledMs !== undefined
            ? addressesOf(scheduledMs, stream, sequence)(index, part + 1)
            : productId(index, part + 1);
        const outcome = outcomeOf(message, trigger.settings);
        const content = JSON.stringify(message.content);
        results.addMessage(
          runNumber,
          messageId,
          {
            ref: message.stepRef,
            channelId: message.channelId,
            channelType: channelTypeNumber(message.channelType),
          },
          packs && !inApp ? packs.add(environmentId, messageId, content) : content,
          MESSAGE_STATUS[outcome],
          dataText(message.data ?? state.data),
          { id: eventId, type: messageEventTypes[outcome] },
          scheduledMs,
          message.batch ?? state.batch,
        );
        if (outcome === 'delivered' && collection === USERS) {
          feeds.push({ environmentId, channelId: message.channelId, userId: recipientId });
        } else if (outcome === 'queued') {
          deliveries.add(chunk, messageId, scheduledMs);
        }
      });
      for (const { stepRef, effect } of result.effects) {
        const by = asker(prepared, runner, stepRef);
        const { resume } = result;
        if (effect.kind === 'batch' && resume) {
          const { laneId, flow } = chunk;
          const parked = { laneId, flow, trigger, recipient, state: nextState(state, id, resume) };
          effects.push({ by, about: effect, parked });
        } else effects.push({ by, about: effect });
      }
      const { resume } = result;
      if (!resume) continue;
      const messages = messagesOfRun(
        around.workflow(trigger.version),
        state,
        result.messages,
        (part) => productId(index, part),
      );
      const next = paused.add(chunk, trigger, recipient, state, id, { ...resume, ...messages });
      if (resume.listen && next.claim) {
        const { laneId, flow } = chunk;
        const { kind: listenTo, source, event } = resume.listen;
        const about = { kind: 'listen', listenTo, source, event, laneId, flow } as const;
        effects.push({
          by: asker(prepared, runner, next.claim.ref),
          about: { ...about, untilMs: resume.dueMs, state: next },
        });
      }
    }
    const from = slice * SLICE_RUNS;
    const to = Math.min(from + SLICE_RUNS, chunk.body.runs.length);
    results.addReceipt(stream, sequence, slice, to - from - setAside - failed, failed);
  }
  const chunks = [...deliveries.chunks(), ...paused.chunks(), ...fanOutChunks(fanOuts)];
  return { results, feeds, effects, chunks };
}

function dataText(data: JsonObject | undefined): string | null {
  return data === undefined ? null : JSON.stringify(data);
}
