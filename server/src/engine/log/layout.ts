import { formatAddress, WORKFLOW_RUN_PART } from '../../lib/address.ts';

import type { RecipientReference, TriggerRequest } from '../engine.ts';
import {
  CHUNK_BYTES,
  CHUNK_RUNS,
  type FanOut,
  type LaneClass,
  laneOf,
  type NewChunk,
  NORMAL,
  RUNS,
  wireReference,
} from './chunk.ts';

import { flowOfTenant } from './flow.ts';

/** A request with its data already serialised. */
export type SerialisedTrigger = {
  readonly request: TriggerRequest;
  readonly dataText: string;
  /** Absent: the environment's normal one. */
  readonly laneId?: number;
};

/** Chunks in the order of their sequences, and each trigger's workflow run id. */
export type Layout = { readonly chunks: readonly NewChunk[]; readonly runIds: readonly string[] };

type Draft = {
  readonly laneId: number;
  readonly flow: number;
  readonly sequence: number;
  readonly triggers: string[];
  readonly runs: string[];
  bytes: number;
};

/** Whether work of a lane has to wait, so that it matters whose it is. */
export type IsCrowded = (laneId: number) => boolean;

/**
 * Lays triggers out in chunks: those of one lane share chunks up to 500 runs, those of a crowded lane only
 * with others of their tenant, so that tenants can take turns. Ids are addresses, so they are known here,
 * before anything is written.
 */
export function layOutTriggers(
  triggers: readonly SerialisedTrigger[],
  stream: number,
  firstSequence: number,
  nowMs: number,
  isCrowded: IsCrowded,
  laneClass: LaneClass = NORMAL,
): Layout {
  const drafts: Draft[] = [];
  const openDrafts = new Map<number, Draft>();
  const runIds: string[] = [];

  const nextDraft = (laneId: number, flow: number): Draft => {
    const draft = {
      laneId,
      flow,
      sequence: firstSequence + drafts.length,
      triggers: [],
      runs: [],
      bytes: 0,
    };
    drafts.push(draft);
    openDrafts.set(draftKey(laneId, flow), draft);
    return draft;
  };

  for (const { request, dataText, laneId: own } of triggers) {
    const laneId = own ?? laneOf(request.environmentId, laneClass);
    const flow = isCrowded(laneId) ? flowOfTenant(request.tenant) : 0;
    let draft = openDrafts.get(draftKey(laneId, flow));
    if (!draft || draft.runs.length >= CHUNK_RUNS || draft.bytes >= CHUNK_BYTES)
      draft = nextDraft(laneId, flow);
    const id = formatAddress(nowMs, stream, draft.sequence, draft.runs.length, WORKFLOW_RUN_PART);
    runIds.push(id);
    const header = triggerText(request, dataText, id, nowMs);
    let position = addTrigger(draft, header);
    let fan = fanOutOf(request);
    for (const { recipient, data } of request.recipients) {
      if (draft.runs.length >= CHUNK_RUNS) {
        draft = nextDraft(laneId, flow);
        position = addTrigger(draft, header);
      }
      const reference = JSON.stringify(wireReference(recipient));
      const begins = fan !== undefined && isObject(recipient);
      if (data === undefined && !begins) {
        draft.runs.push(`[${position},${reference}]`);
        continue;
      }
      const state = JSON.stringify({ ...(data && { data }), ...(begins && { fan }) });
      draft.runs.push(`[${position},${reference},${state}]`);
      if (begins) fan = undefined;
    }
  }
  return {
    runIds,
    chunks: drafts.map((draft) => ({
      laneId: draft.laneId,
      kind: RUNS,
      flow: draft.flow,
      runCount: draft.runs.length,
      dueMs: undefined,
      body: `{"triggers":[${draft.triggers.join(',')}],"runs":[${draft.runs.join(',')}]}`,
    })),
  };
}

/** What the first object's run begins, for all objects of the trigger. */
function fanOutOf({ recipients, fanOut = true }: TriggerRequest): FanOut | undefined {
  if (!fanOut || !recipients.some(({ recipient }) => isObject(recipient))) return undefined;
  return { direct: recipients.map(({ recipient }) => wireReference(recipient)) };
}

function isObject(recipient: RecipientReference): boolean {
  return typeof recipient !== 'string';
}

function draftKey(laneId: number, flow: number): number {
  return laneId * 32_768 + flow;
}

function addTrigger(draft: Draft, header: string): number {
  draft.bytes += header.length;
  return draft.triggers.push(header) - 1;
}

/**
 * A trigger as a chunk's body has it, all but its recipients. Its data is JSON, or the number of the chunk's trigger
 * that has the same.
 */
export function triggerText(
  request: Omit<TriggerRequest, 'recipients'>,
  data: string | number,
  id: string,
  at: number,
): string {
  const by = request.apiKeyId === undefined ? '' : `,"by":${request.apiKeyId}`;
  const actor = request.actor === null ? null : wireReference(request.actor);
  return (
    `{"id":"${id}","key":${JSON.stringify(request.workflowKey)},"version":${request.versionId},` +
    `"actor":${JSON.stringify(actor)},"tenant":${JSON.stringify(request.tenant)},${typeof data === 'number' ? `"dataOf":${data}` : `"data":${data}`},` +
    `"cancel":${JSON.stringify(request.cancellationKey)},"settings":${JSON.stringify(request.settings)},"at":${at}${by}}`
  );
}
