import type { JsonObject } from '../lib/json.ts';
import { type Answer, accepted } from './operator.ts';
import type { Stage } from './stage.ts';
import { poll } from './wall-clock.ts';

const KEY = 'drill';
const POLL_MS = 500;

/** A neighbour sends one message to all of its users, at its own pace. */
export async function beginBroadcast(stage: Stage): Promise<void> {
  const { broadcaster } = stage.cast;
  accepted(
    await call(stage, 'POST', '/v1/broadcasts', {
      key: KEY,
      workflow: broadcaster.workflowKey,
      rate: stage.plan.broadcastPerSecond,
      data: { amount: 42, actor_name: 'Ada' },
    }),
  );
  stage.timeline.note(
    `a neighbour begins a broadcast to ${broadcaster.users.toLocaleString('en')} users`,
    await broadcastState(stage),
  );
}

/** How far it is, in one line. */
export async function broadcastState(stage: Stage): Promise<string> {
  const { body } = await call(stage, 'GET', `/v1/broadcasts/${KEY}`);
  const { done, total } = (body.progress ?? {}) as {
    readonly done?: number;
    readonly total?: number;
  };
  return `broadcast: ${String(body.state)}, ${done?.toLocaleString('en')} of ${total?.toLocaleString('en') ?? '?'}`;
}

/** False when it takes too long. */
export async function broadcastFinished(stage: Stage): Promise<boolean> {
  const finished = await poll(
    async () => {
      const { body } = await call(stage, 'GET', `/v1/broadcasts/${KEY}`);
      return body.state === 'finished' ? true : undefined;
    },
    { everyMs: POLL_MS, timeoutMs: stage.plan.drainSeconds * 1_000 },
  );
  stage.timeline.note(
    finished ? 'the neighbour’s broadcast is finished, nobody did anything' : 'the broadcast hangs',
    await broadcastState(stage),
  );
  return finished === true;
}

function call(stage: Stage, method: string, path: string, body?: JsonObject): Promise<Answer> {
  return stage.operator.call(stage.cast.broadcaster.secretKey, method, path, body);
}
