import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { accepted, listOf } from './operator.ts';
import type { Stage } from './stage.ts';
import { waitMs, wallClockMs } from './wall-clock.ts';

const LOOK_EVERY_MS = 500;

export type Governed = {
  readonly holdAnswerSeconds: number;
  readonly discardAnswerSeconds: number;
  /** When the answers came, milliseconds since 1970. */
  readonly heldMs: number;
  /** Queued runs when the hold was asked for. */
  readonly depth: number;
  readonly discardId: string;
};

/** Preview, hold, look around, revoke the key, discard, all clear. */
export async function govern(stage: Stage): Promise<Governed> {
  const { operator, timeline, cast, plan, server } = stage;
  const { culprit } = cast;
  const scope = { account: culprit.account };

  const preview = accepted(await operator.post('/ops/v1/orders/preview', { scope }));
  timeline.note(
    'the operator previews a hold of the culprit',
    `${Number(preview.runs).toLocaleString('en')} runs, the oldest from ${String(preview.oldest)}`,
  );
  const depth = await server.metric('belfry_runs_queued');
  const hold = await timed(stage, { verb: 'hold', scope, reason: 'flood; is the key stolen?' });
  timeline.note(
    `the culprit is held; the answer took ${hold.seconds.toFixed(3)} s`,
    `order ${hold.id}; triggers are still accepted, nothing of it starts`,
  );
  const untilMs = wallClockMs() + plan.seconds.held * 1_000;
  while (wallClockMs() < untilMs) await waitMs(LOOK_EVERY_MS);
  timeline.note(
    'the operator looks at what is held, and asks the customer',
    listOf(preview.samples)
      .slice(0, 1)
      .map((sample) => JSON.stringify(sample))
      .join(''),
  );
  await revokeKey(stage);
  const discard = await timed(stage, { verb: 'discard', scope, reason: 'stolen key' });
  timeline.note(
    `what the stolen key made is discarded; the answer took ${discard.seconds.toFixed(3)} s`,
    `order ${discard.id}; it can be undone, and it can be exported`,
  );
  accepted(await operator.post(`/ops/v1/orders/${hold.id}/undo`, { reason: 'the key is revoked' }));
  timeline.note('all clear: the hold is lifted', await operator.traffic());
  return {
    holdAnswerSeconds: hold.seconds,
    discardAnswerSeconds: discard.seconds,
    heldMs: hold.answeredMs,
    depth,
    discardId: discard.id,
  };
}

async function timed(
  stage: Stage,
  order: JsonObject,
): Promise<{ readonly id: string; readonly seconds: number; readonly answeredMs: number }> {
  const askedMs = wallClockMs();
  const answer = await stage.operator.post('/ops/v1/orders', order);
  const answeredMs = wallClockMs();
  const { id } = accepted(answer);
  return { id: String(id), seconds: (answeredMs - askedMs) / 1_000, answeredMs };
}

async function revokeKey(stage: Stage): Promise<void> {
  const { operator, cast, timeline } = stage;
  const { culprit } = cast;
  const { body } = await operator.get(`/ops/v1/keys?account=${culprit.account}`);
  const key = listOf(body.entries)
    .filter(isJsonObject)
    .find(({ kind, hint }) => kind === 'secret' && hint === culprit.keyHint);
  accepted(await operator.post(`/ops/v1/keys/${String(key?.id)}/revoke`, {}));
  timeline.note(`the stolen key ...${culprit.keyHint} is revoked`, await operator.traffic());
}

/** Runs of the export by their trigger's number; it has a line for each, so it is read as it comes. */
export async function exportDiscarded(stage: Stage, orderId: string): Promise<Map<number, number>> {
  const runs = new Map<number, number>();
  for await (const line of stage.operator.lines(`/ops/v1/orders/${orderId}/export`)) {
    const { data } = JSON.parse(line) as { readonly data: { readonly drill: number } };
    runs.set(data.drill, (runs.get(data.drill) ?? 0) + 1);
  }
  return runs;
}
