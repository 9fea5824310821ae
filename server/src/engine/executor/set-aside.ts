import { runsBodyText } from '../log/body.ts';
import {
  type CALLS,
  CHUNK_RUNS,
  type ChunkRun,
  type ChunkTrigger,
  DELIVERIES,
  type DeliveriesBody,
  environmentOfLane,
  FAN_OUT,
  type NewChunk,
  type RUNS,
  type RunState,
  type RunsBody,
  SLICE_RUNS,
} from '../log/chunk.ts';

import { type Governance, type Rule, ruleFor } from '../orders/rules.ts';
import type { DecodedChunk } from './chunk-cache.ts';
import { fanOutSize } from './fan-out-chunks.ts';

/** Chunks of a slow are small, so that its rate is even. */
const LEAST_CHUNK_RUNS = 10;

/** Triggers of a slice, by their number in the chunk, that an order is about. */
export type GovernedTriggers = ReadonlyMap<number, Rule>;

const NONE: GovernedTriggers = new Map();

export function governedTriggers(
  { rules }: Governance,
  accounts: ReadonlyMap<number, number>,
  chunk: DecodedChunk<RunsBody>,
  slice: number,
): GovernedTriggers {
  if (rules.length === 0) return NONE;
  const environmentId = environmentOfLane(chunk.laneId);
  const seen = new Set<number>();
  const governed = new Map<number, Rule>();
  for (const [number] of chunk.body.runs.slice(slice * SLICE_RUNS, (slice + 1) * SLICE_RUNS)) {
    const trigger = chunk.body.triggers[number];
    if (!trigger || seen.has(number)) continue;
    seen.add(number);
    const facts = {
      environmentId,
      accountId: accounts.get(environmentId),
      apiKeyId: trigger.by,
      workflow: trigger.key,
      tenant: trigger.tenant,
      acceptedMs: trigger.at,
    };
    const rule = ruleFor(rules, facts, chunk.orderId);
    if (rule) governed.set(number, rule);
  }
  return governed;
}

type Group = {
  readonly rule: Rule;
  readonly source: { readonly stream: number; readonly sequence: number };
  readonly chunk: DecodedChunk<RunsBody>;
  readonly triggers: Map<ChunkTrigger, number>;
  readonly runs: ChunkRun[];
};

/** Runs (or calls, or fan-outs) that are set aside, gathered into chunks of one order and one chunk that they came with. */
export class RunsAside {
  readonly #kind: typeof RUNS | typeof CALLS | typeof FAN_OUT;
  readonly #open = new Map<string, Group>();
  readonly #groups: Group[] = [];

  constructor(kind: typeof RUNS | typeof CALLS | typeof FAN_OUT) {
    this.#kind = kind;
  }

  add(
    rule: Rule,
    from: { readonly stream: number; readonly sequence: number },
    chunk: DecodedChunk<RunsBody>,
    trigger: ChunkTrigger,
    recipient: ChunkRun[1],
    state: RunState,
    id: string,
  ): void {
    const key = `${rule.id} ${from.stream} ${from.sequence}`;
    let group = this.#open.get(key);
    const size = this.#kind === FAN_OUT ? SLICE_RUNS : chunkRuns(rule);
    if (!group || group.runs.length >= size) {
      group = { rule, source: chunk.source ?? from, chunk, triggers: new Map(), runs: [] };
      this.#open.set(key, group);
      this.#groups.push(group);
    }
    let number = group.triggers.get(trigger);
    if (number === undefined) {
      number = group.triggers.size;
      group.triggers.set(trigger, number);
    }
    group.runs.push([number, recipient, { ...state, id }]);
  }

  chunks(): NewChunk[] {
    return this.#groups.map(({ rule, source, chunk, triggers, runs }) => ({
      laneId: chunk.laneId,
      flow: chunk.flow,
      kind: this.#kind,
      runCount: this.#kind === FAN_OUT ? fanOutSize(runs) : runs.length,
      // What came from a timer was accepted work before.
      dueMs: chunk.dueMs,
      aside: { orderId: rule.id, ...source, acceptedMs: chunk.acceptedMs },
      body: runsBodyText([...triggers.keys()], runs),
    }));
  }
}

/** How many runs (or deliveries) lie in a chunk that an order sets aside. */
function chunkRuns({ runsPerSecond }: Rule): number {
  if (runsPerSecond === null) return CHUNK_RUNS;
  return Math.min(CHUNK_RUNS, Math.max(LEAST_CHUNK_RUNS, Math.ceil(runsPerSecond)));
}

/** In place of an outcome: the provider was not asked. */
export type DeliveryAside = {
  readonly kind: 'aside';
  readonly rule: Rule;
  readonly ordersVersion: number;
  readonly chunk: DecodedChunk<DeliveriesBody>;
};

type Delivery = {
  readonly stream: number;
  readonly sequence: number;
  readonly messageId: string;
  readonly attempt: number;
  readonly outcome: { readonly kind: string } | DeliveryAside;
};

/** Chunks of the deliveries among these that are set aside. */
export function deliveriesAside(deliveries: readonly Delivery[]): NewChunk[] {
  const groups = new Map<string, { of: DeliveryAside; first: Delivery; ids: [string, number][] }>();
  const chunks: NewChunk[] = [];
  for (const delivery of deliveries) {
    const { outcome } = delivery;
    if (!isAside(outcome)) continue;
    const key = `${outcome.rule.id} ${outcome.chunk.laneId} ${outcome.chunk.flow}`;
    let group = groups.get(key);
    if (!group) {
      group = { of: outcome, first: delivery, ids: [] };
      groups.set(key, group);
    }
    group.ids.push([delivery.messageId, delivery.attempt]);
  }
  for (const { of, first, ids } of groups.values()) {
    const { rule, chunk } = of;
    const source = chunk.source ?? { stream: first.stream, sequence: first.sequence };
    for (let from = 0; from < ids.length; from += chunkRuns(rule)) {
      const part = ids.slice(from, from + chunkRuns(rule));
      chunks.push({
        laneId: chunk.laneId,
        flow: chunk.flow,
        kind: DELIVERIES,
        runCount: part.length,
        dueMs: undefined,
        aside: {
          orderId: rule.id,
          stream: source.stream,
          sequence: source.sequence,
          acceptedMs: chunk.acceptedMs,
        },
        body: JSON.stringify({ deliveries: part }),
      });
    }
  }
  return chunks;
}

function isAside(outcome: Delivery['outcome']): outcome is DeliveryAside {
  return outcome.kind === 'aside';
}
