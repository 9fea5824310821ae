import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import { faultPoint } from '../lib/fault-point.ts';
import type { Logger } from '../lib/log.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { webhookEventName } from '../signals/webhook-event-types.ts';
import { type DueDelivery, eventId, readDue } from './delivery.ts';
import { FORGET, forgetDeliveries } from './forget.ts';
import { loadPayloads, type Payloads } from './payloads.ts';
import { type Outcome, recordOutcomes } from './record.ts';
import { moveReplay, readReplays } from './replay.ts';
import type { Answer, Requests } from './requests.ts';
import { signedHeaders } from './signed-headers.ts';
import { begin, EVENTS_A_LOOK, end, readTargets, type Target, Targets } from './targets.ts';

const TARGETS_MS = 1_000;
const REPLAYS_MS = 1_000;
const FORGET_MS = 60_000;
const UNREADABLE =
  'its secret cannot be opened with the secret of this installation; rotate it, or restore the data directory';

export type SenderOptions = {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
  readonly secrets: SecretBox;
  readonly requests: Requests;
};

export type SenderStats = {
  /** Enabled endpoints. */
  readonly endpoints: number;
  readonly underWay: number;
  /** Since the start. */
  readonly delivered: number;
  readonly failedAttempts: number;
};

export type Sender = {
  /** Begins what is due and may begin, `limit` events at the most. Returns whether there may be more at once. */
  readonly look: (limit?: number) => Promise<'busy' | 'idle' | 'no endpoints'>;
  /** Reads the endpoints again with the next look. */
  readonly refresh: () => void;
  readonly stats: () => SenderStats;
  /** Resolves when no request is under way and every answer is recorded. */
  readonly settled: () => Promise<void>;
  /** Requests that fail from now on were ended by us: nothing is recorded of them. */
  readonly abandon: () => void;
};

/** Sends what waits. One statement records whatever was answered while the one before was under way. */
export function createSender(options: SenderOptions): Sender {
  const { db, clock, log, random, secrets, requests } = options;
  const targets = new Targets();
  let targetsReadMs = Number.NEGATIVE_INFINITY;
  let replaysReadMs = Number.NEGATIVE_INFINITY;
  let forgottenMs = clock.now();
  let outcomes: Outcome[] = [];
  let recording: Promise<void> | undefined;
  let isAbandoned = false;
  const sending = new Set<Promise<void>>();
  const counts = { delivered: 0, failedAttempts: 0 };

  async function look(limit = EVENTS_A_LOOK): Promise<'busy' | 'idle' | 'no endpoints'> {
    const nowMs = clock.now();
    if (nowMs - targetsReadMs >= TARGETS_MS) {
      targets.update(await readTargets(db), secrets, nowMs);
      targetsReadMs = nowMs;
    }
    if (nowMs - forgottenMs >= FORGET_MS) {
      // More than a batch: the rest with the next look.
      if ((await forgetDeliveries(db, nowMs)) < FORGET) forgottenMs = nowMs;
    }
    if (targets.size === 0) return 'no endpoints';
    const rooms = targets.rooms(nowMs, limit);
    if (rooms.length === 0) return 'idle';
    const found = await readDue(db, rooms, targets.underWay(), nowMs);
    const hasReplayed = await replay(
      nowMs,
      rooms.map(({ id }) => id).filter((id) => !found.some((event) => event.endpoint_id === id)),
    );
    const taken = targets.take(found, limit);
    await send(taken);
    return taken.length > 0 || hasReplayed ? 'busy' : 'idle';
  }

  /** Replays of endpoints that have nothing else to do move on. */
  async function replay(nowMs: number, idle: readonly number[]): Promise<boolean> {
    if (idle.length === 0 || nowMs - replaysReadMs < REPLAYS_MS) return false;
    const open = await readReplays(db);
    const movable = open.filter(({ endpoint_id: id }) => idle.includes(id));
    for (const { id } of movable) await moveReplay(db, id, nowMs);
    // While one is open it goes on as soon as its endpoint has nothing to do.
    if (open.length === 0) replaysReadMs = nowMs;
    return movable.length > 0;
  }

  async function send(deliveries: readonly DueDelivery[]): Promise<void> {
    const byEnvironment = Map.groupBy(
      deliveries,
      ({ endpoint_id: id }) => targets.get(id)?.environment.id,
    );
    for (const ofOne of byEnvironment.values()) {
      const environment = targets.get(ofOne[0]?.endpoint_id ?? 0)?.environment;
      if (!environment) continue;
      const payloads = await loadPayloads({ db, clock, log, environment }, ofOne).catch((error) => {
        // Theirs alone: it counts as an attempt, so that they wait and others go on.
        log.warn({ err: error, environment: environment.id }, 'events of webhooks cannot be read');
        return undefined;
      });
      for (const delivery of ofOne) {
        const target = targets.get(delivery.endpoint_id);
        if (!target) continue;
        begin(target, delivery.id, clock.now());
        const sent: Promise<void> = ask(target, delivery, payloads)
          .catch((error) => log.warn({ err: error }, 'sending to a webhook failed'))
          .finally(() => {
            target.underWay.delete(delivery.id);
            sending.delete(sent);
          });
        sending.add(sent);
      }
    }
  }

  /** Resolves when the outcome is recorded; when that fails the event is due as before. */
  async function ask(
    target: Target,
    delivery: DueDelivery,
    payloads: Payloads | undefined,
  ): Promise<void> {
    let answer: Answer | undefined;
    let ended: boolean | undefined;
    try {
      answer = await answerTo(target, delivery, payloads);
      if (isAbandoned && answer?.status === null) return;
      ended = answer?.isDelivered;
    } finally {
      end(target, ended, clock.now());
    }
    if (answer?.isDelivered) counts.delivered += 1;
    else if (answer) counts.failedAttempts += 1;
    await record({ delivery, answer, atMs: clock.now() });
  }

  /** Undefined: what it is about is gone. */
  async function answerTo(
    target: Target,
    delivery: DueDelivery,
    payloads: Payloads | undefined,
  ): Promise<Answer | undefined> {
    if (payloads === undefined) return notAsked('what it is about could not be read');
    const body = payloads.get(delivery.id);
    if (body === undefined) return undefined;
    if (target.secrets === undefined) return notAsked(UNREADABLE);
    faultPoint('webhook.before-request');
    const headers = signedHeaders(
      {
        id: eventId(delivery),
        type: webhookEventName(delivery.type) ?? '',
        environmentId: target.environment.publicId,
        body,
      },
      target.secrets,
      clock.now(),
    );
    const answer = await requests.post(target.url, headers, body);
    faultPoint('webhook.after-request');
    return answer;
  }

  /** Joins the statement that is written next. */
  async function record(outcome: Outcome): Promise<void> {
    outcomes.push(outcome);
    while (outcomes.includes(outcome) && recording) await recording.catch(() => undefined);
    if (!outcomes.includes(outcome)) return recording;
    const batch = outcomes;
    outcomes = [];
    recording = recordOutcomes(db, batch, { nowMs: clock.now(), random });
    try {
      await recording;
      faultPoint('webhook.after-record');
    } finally {
      recording = undefined;
    }
  }

  return {
    look,
    refresh: () => {
      targetsReadMs = Number.NEGATIVE_INFINITY;
      replaysReadMs = Number.NEGATIVE_INFINITY;
    },
    stats: () => ({ endpoints: targets.size, underWay: sending.size, ...counts }),
    settled: async () => {
      while (sending.size > 0) await Promise.all(sending);
    },
    abandon: () => {
      isAbandoned = true;
    },
  };
}

function notAsked(error: string): Answer {
  return { isDelivered: false, isGone: false, status: null, error, durationMs: 0 };
}
