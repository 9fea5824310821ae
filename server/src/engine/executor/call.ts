import type { Database } from '../../db/database.ts';
import { faultPoint } from '../../lib/fault-point.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { CallAnswer, CallTools, StepInput } from '../../workflows/step.ts';
import { StepError } from '../../workflows/step-error.ts';
import { withSecrets } from '../../workflows/step-secrets.ts';
import {
  type ChunkRun,
  type ChunkTrigger,
  environmentOfLane,
  type RunsBody,
} from '../log/chunk.ts';
import { ruleFor } from '../orders/rules.ts';
import type { SliceOrder } from '../protocol.ts';
import type { CallOutcome, CallWriter } from './call-writer.ts';
import type { ChunkCache, DecodedChunk } from './chunk-cache.ts';
import { audiencesOf, type Surroundings, shareTrigger } from './evaluate-run.ts';
import type { KnownOrders } from './governance.ts';
import { collectionOf, idOf } from './load-recipients.ts';
import { withLookUps } from './look-ups.ts';
import { unrecordedSlices } from './receipts.ts';
import { withLinks } from './recipient-links.ts';
import { answerMask } from './sealed-requests.ts';
import type { GovernedTriggers } from './set-aside.ts';
import { settledOrders } from './settled-orders.ts';
import { type LoadServices, loadSurroundings } from './surroundings.ts';

export type CallServices = LoadServices & {
  readonly db: Database;
  readonly chunks: ChunkCache<RunsBody>;
  readonly writer: CallWriter;
  readonly orders: KnownOrders;
  /** What a call may use; the key is the same for every attempt. */
  readonly tools: (idempotencyKey: string) => CallTools;
};

type Wanted = {
  readonly slice: SliceOrder;
  readonly chunk: DecodedChunk<RunsBody>;
  readonly environmentId: number;
  readonly trigger: ChunkTrigger;
  readonly run: ChunkRun;
};

const CALL_ATTEMPTS = 3;
/** How often orders may change under the same calls, before they come back undone. */
const ORDERS_ATTEMPTS = 5;
/** How old the answer may be that no order is about a call: less than an owner is silent before another follows. */
const MAX_AGE_MS = 5_000;
const NOBODY: GovernedTriggers = new Map();

/**
 * Asks outside what the steps of these runs want to know, and writes with what answers they go on; resolves when all of
 * it is committed. Nothing of the database is held meanwhile. A crash between an answer and its record repeats the
 * request, with the same idempotency key.
 */
export async function executeCalls(
  services: CallServices,
  slot: number,
  slices: readonly SliceOrder[],
  attemptsLeft = ORDERS_ATTEMPTS,
): Promise<void> {
  const { db, orders } = services;
  const wanted = await readCalls(services, slot, slices);
  if (wanted.length === 0) return;
  const parts = wanted.map(({ chunk, slice }) => {
    return { chunk, from: slice.slice, to: slice.slice + 1, governed: NOBODY };
  });
  const around = await loadSurroundings(services, db, parts, 0);
  const drafts = await Promise.all(wanted.map((entry) => draft(around, entry)));
  const askedAtMs = performance.now();
  const [row] = await db.query<{ version: number }>('select version from governance');
  const environments = wanted.map(({ environmentId }) => environmentId);
  const { asked, facts: accounts } = await settledOrders(orders, row?.version, (current) =>
    orders.accountsOf(current, environments),
  );
  if (performance.now() - askedAtMs > MAX_AGE_MS) {
    // This process was frozen, and orders may have been given that nobody could wait to tell it.
    if (attemptsLeft === 1) throw new Error('the database answers too slowly for calls');
    return executeCalls(services, slot, slices, attemptsLeft - 1);
  }
  const stale: SliceOrder[] = [];
  await Promise.all(
    drafts.map(async ({ wanted: { slice, chunk, environmentId, trigger, run }, begin }) => {
      const facts = {
        environmentId,
        accountId: accounts.get(environmentId),
        apiKeyId: trigger.by,
        workflow: trigger.key,
        tenant: trigger.tenant,
        acceptedMs: trigger.at,
      };
      const rule = ruleFor(asked.rules, facts, chunk.orderId);
      const outcome: CallOutcome = rule
        ? { kind: 'aside', rule, ordersVersion: asked.version }
        : await begin(services.tools);
      const { stream, sequence, slice: number } = slice;
      const place = { slot, stream, sequence, slice: number };
      const isWritten = await services.writer.write({ ...place, chunk, trigger, run, outcome });
      if (!isWritten) stale.push(slice);
    }),
  );
  if (stale.length === 0) return;
  if (attemptsLeft === 1) throw new Error('calls cannot be set aside');
  await orders.reload();
  await executeCalls(services, slot, stale, attemptsLeft - 1);
}

/** The calls that lack a receipt. */
async function readCalls(
  { db, chunks }: CallServices,
  slot: number,
  slices: readonly SliceOrder[],
): Promise<Wanted[]> {
  const open = await unrecordedSlices(db, slot, slices);
  const decoded = await chunks.get(db, slot, open);
  return open.flatMap((slice, i) => {
    const chunk = decoded[i];
    const run = chunk?.body.runs[slice.slice];
    const trigger = run && chunk?.body.triggers[run[0]];
    if (!chunk || !run || !trigger) return [];
    return [{ slice, chunk, environmentId: environmentOfLane(chunk.laneId), trigger, run }];
  });
}

/** A call with its request rendered: all that is left is to make it. */
type Draft = {
  readonly wanted: Wanted;
  /** Begins the request before anything is waited for. */
  readonly begin: (tools: CallServices['tools']) => Promise<CallOutcome>;
};

/** Renders the request: from here on nothing of the run is read. */
async function draft(around: Surroundings, wanted: Wanted): Promise<Draft> {
  const { environmentId, trigger, run } = wanted;
  const [, recipient, state = {}] = run;
  const common = shareTrigger(trigger, environmentId, around);
  const { workflow } = common;
  // Nobody is to be asked any more; the evaluation that follows ends the run and says why.
  if (workflow instanceof Error || around.stopped(environmentId, trigger, run) !== undefined) {
    return { wanted, begin: async () => ({ kind: 'answered' }) };
  }
  const step = workflow.steps[state.step ?? 0];
  const attempts = (state.attempt ?? 0) + 1;
  const { request, call } = step ?? {};
  if (!step || !request || !call) {
    return {
      wanted,
      begin: async () => answered({ attempts, error: 'the step has nobody to ask' }),
    };
  }
  const { scope } = around.recipient(
    environmentId,
    collectionOf(recipient),
    idOf(recipient),
    trigger.tenant,
  );
  const known = around.secrets(environmentId);
  const secrets = known && Object.keys(known.values).length > 0 ? known : undefined;
  const input: StepInput = {
    scope: withLinks(
      common.scopeFor(scope, state, audiencesOf(run, common, around)),
      { environmentId, recipient, workflow },
      around,
    ),
    nowMs: around.nowMs,
    timezone: common.defaults.timezone,
    settings: trigger.settings,
    attempt: attempts - 1,
    refusal: () => undefined,
  };
  try {
    const inputWith = (values: JsonObject): StepInput => ({
      ...input,
      scope: withSecrets(input.scope, values),
    });
    const [rendered, shown] = await withLookUps(around.loadLookUps, environmentId, () =>
      secrets
        ? [request(inputWith(secrets.values)), request(inputWith(secrets.masks))]
        : [request(input)],
    );
    const key = `${state.id}/${encodeURIComponent(step.ref)}`;
    const begin = (tools: CallServices['tools']) =>
      askNow(() => call(rendered, tools(key)), attempts);
    if (!shown || !secrets) return { wanted, begin };
    // An endpoint, or an error, may repeat what it was sent.
    const mask = answerMask(shown, rendered, secrets.values);
    return { wanted, begin: async (tools) => maskedOutcome(await begin(tools), mask) };
  } catch (error) {
    const outcome = failed(error, attempts);
    return { wanted, begin: async () => outcome };
  }
}

async function askNow(ask: () => Promise<JsonObject>, attempts: number): Promise<CallOutcome> {
  try {
    faultPoint('call.before-request');
    const result = await ask();
    faultPoint('call.after-request');
    return answered({ attempts, result });
  } catch (error) {
    return failed(error, attempts);
  }
}

function maskedOutcome(
  outcome: CallOutcome,
  mask: (answer: JsonObject) => JsonObject,
): CallOutcome {
  return outcome.kind === 'answered' && outcome.answer
    ? { ...outcome, answer: mask(outcome.answer) }
    : outcome;
}

function failed(error: unknown, attempts: number): CallOutcome {
  if (attempts < CALL_ATTEMPTS && !(error instanceof StepError)) {
    return { kind: 'again', failed: attempts };
  }
  return answered({ attempts, error: error instanceof Error ? error.message : String(error) });
}

function answered(answer: CallAnswer & JsonObject): CallOutcome {
  return { kind: 'answered', answer };
}
