import { formatAddress, WORKFLOW_RUN_PART } from '../../lib/address.ts';
import type { TriggerRequest } from '../engine.ts';
import { CHUNK_RUNS, laneOf, type NewChunk, NORMAL, RUNS, wireReference } from './chunk.ts';

/** A chunk's shared data past which it takes no further trigger. */
const CHUNK_BYTES = 256 * 1024;

/** A request with its data already serialised. */
export type SerialisedTrigger = { readonly request: TriggerRequest; readonly dataText: string };

/** Chunks in the order of their sequences, and each trigger's workflow run id. */
export type Layout = { readonly chunks: readonly NewChunk[]; readonly runIds: readonly string[] };

type Draft = {
  readonly laneId: number;
  readonly sequence: number;
  readonly triggers: string[];
  readonly runs: string[];
  bytes: number;
};

/**
 * Lays triggers out in chunks: those of one lane share chunks up to 500 runs. Ids are addresses, so they
 * are known here, before anything is written.
 */
export function layOutTriggers(
  triggers: readonly SerialisedTrigger[],
  stream: number,
  firstSequence: number,
  nowMs: number,
): Layout {
  const drafts: Draft[] = [];
  const openByLane = new Map<number, Draft>();
  const runIds: string[] = [];

  const nextDraft = (laneId: number): Draft => {
    const draft = {
      laneId,
      sequence: firstSequence + drafts.length,
      triggers: [],
      runs: [],
      bytes: 0,
    };
    drafts.push(draft);
    openByLane.set(laneId, draft);
    return draft;
  };

  for (const { request, dataText } of triggers) {
    const laneId = laneOf(request.environmentId, NORMAL);
    let draft = openByLane.get(laneId);
    if (!draft || draft.runs.length >= CHUNK_RUNS || draft.bytes >= CHUNK_BYTES)
      draft = nextDraft(laneId);
    const id = formatAddress(nowMs, stream, draft.sequence, draft.runs.length, WORKFLOW_RUN_PART);
    runIds.push(id);
    const header = triggerText(request, dataText, id, nowMs);
    let position = addTrigger(draft, header);
    for (const { recipient, data } of request.recipients) {
      if (draft.runs.length >= CHUNK_RUNS) {
        draft = nextDraft(laneId);
        position = addTrigger(draft, header);
      }
      const reference = JSON.stringify(wireReference(recipient));
      draft.runs.push(
        data === undefined
          ? `[${position},${reference}]`
          : `[${position},${reference},${JSON.stringify({ data })}]`,
      );
    }
  }
  return {
    runIds,
    chunks: drafts.map((draft) => ({
      laneId: draft.laneId,
      kind: RUNS,
      runCount: draft.runs.length,
      dueMs: undefined,
      body: `{"triggers":[${draft.triggers.join(',')}],"runs":[${draft.runs.join(',')}]}`,
    })),
  };
}

function addTrigger(draft: Draft, header: string): number {
  draft.bytes += header.length;
  return draft.triggers.push(header) - 1;
}

function triggerText(request: TriggerRequest, dataText: string, id: string, at: number): string {
  const by = request.apiKeyId === undefined ? '' : `,"by":${request.apiKeyId}`;
  const actor = request.actor === null ? null : wireReference(request.actor);
  return (
    `{"id":"${id}","key":${JSON.stringify(request.workflowKey)},"version":${request.versionId},` +
    `"actor":${JSON.stringify(actor)},"tenant":${JSON.stringify(request.tenant)},"data":${dataText},` +
    `"cancel":${JSON.stringify(request.cancellationKey)},"settings":${JSON.stringify(request.settings)},"at":${at}${by}}`
  );
}
