import type { CanaryAccount } from '../accounts/canary-account.ts';
import type { Context } from '../context.ts';
import { type WatchedFeed, waitForFeed } from './canary-feed.ts';

export const CANARY_WORKFLOW = 'canary';
const RECIPIENT = 'canary';

/** So many beats missing in a row are silence: one may be a restart. */
const SILENT_BEATS = 2;
const MAX_BEAT_MS = 10_000;
const FIRST_LOOK_MS = 250;
const MAX_LOOK_MS = 1_000;

/** The stages of a beat, each in milliseconds after the trigger was sent. */
export const canaryStages = ['accepted', 'executed', 'notified', 'delivered'] as const;
export type CanaryStage = (typeof canaryStages)[number];
type StageTimes = Partial<Record<CanaryStage, number>>;

export type CanaryBeat = {
  readonly atMs: number;
  readonly stages: Readonly<StageTimes>;
  /** Stages that were not reached in time. */
  readonly missing: readonly CanaryStage[];
  /** What was said when it failed. */
  readonly error: string | undefined;
};

export type CanaryStatus = {
  readonly state: 'starting' | 'alive' | 'late' | 'silent';
  readonly intervalMs: number;
  readonly missedInARow: number;
  readonly last: CanaryBeat | undefined;
  readonly lastCompleteMs: number | undefined;
};

export type Canary = {
  /** Undefined until its account is made. */
  readonly accountId: () => number | undefined;
  readonly status: () => CanaryStatus;
  readonly stop: () => Promise<void>;
};

export type CanaryOptions = {
  /** Origin of the server, over the loopback. */
  readonly url: string;
  readonly intervalMs: number;
  readonly isOwner: () => boolean;
  /** Makes the account or gives it new keys. */
  readonly prepare: () => Promise<CanaryAccount>;
};

/**
 * Triggers a workflow of its own again and again, as a customer would: over HTTP with a key, through every
 * stage up to a feed that a socket watches and a delivery that a provider takes. Only the owner does: whoever
 * becomes it makes the keys anew, which ends those of the owner before.
 *
 * | state    | when                                                            |
 * |----------|-----------------------------------------------------------------|
 * | starting | no beat has ended yet, or another server is the owner           |
 * | alive    | the last beat reached every stage within 10 s (or the interval) |
 * | late     | the last one did not                                            |
 * | silent   | two or more in a row did not: a line at error says which stage  |
 */
export function startCanary(ctx: Context, options: CanaryOptions): Canary {
  const { clock, log } = ctx;
  const { intervalMs } = options;
  const stopping = new AbortController();
  let account: CanaryAccount | undefined;
  let last: CanaryBeat | undefined;
  let lastCompleteMs: number | undefined;
  let missedInARow = 0;
  let timer: NodeJS.Timeout | undefined;
  let beating = Promise.resolve();
  next(0);

  function next(delayMs: number): void {
    if (stopping.signal.aborted) return;
    timer = setTimeout(() => {
      beating = run();
    }, delayMs);
  }

  async function run(): Promise<void> {
    const startedMs = performance.now();
    if (!options.isOwner()) {
      account = undefined;
      last = undefined;
      missedInARow = 0;
      next(intervalMs);
      return;
    }
    const beat = await sendBeat(ctx, options, prepared, stopping.signal);
    if (stopping.signal.aborted) return;
    last = beat;
    if (beat.missing.length === 0) {
      if (missedInARow >= SILENT_BEATS) log.info('the canary is heard again');
      missedInARow = 0;
      lastCompleteMs = clock.now();
    } else {
      missedInARow += 1;
      // The keys may be those of before an owner in between.
      if (beat.stages.accepted === undefined) account = undefined;
      const fields = { missing: beat.missing, stages: beat.stages, reason: beat.error };
      if (missedInARow === SILENT_BEATS) {
        log.error(fields, 'the canary is silent: triggers do not get through');
      } else if (missedInARow === 1) {
        log.warn(fields, 'a beat of the canary is missing');
      }
    }
    next(Math.max(0, intervalMs - (performance.now() - startedMs)));
  }

  async function prepared(): Promise<CanaryAccount> {
    account ??= await options.prepare();
    return account;
  }

  const state = (): CanaryStatus['state'] => {
    if (missedInARow >= SILENT_BEATS) return 'silent';
    if (missedInARow > 0) return 'late';
    return last ? 'alive' : 'starting';
  };
  return {
    accountId: () => account?.accountId,
    status: () => ({ state: state(), intervalMs, missedInARow, last, lastCompleteMs }),
    stop: async () => {
      stopping.abort();
      clearTimeout(timer);
      await beating;
    },
  };
}

/** One trigger; resolves when every stage was reached or the time is over. */
async function sendBeat(
  ctx: Context,
  options: CanaryOptions,
  prepared: () => Promise<CanaryAccount>,
  stopping: AbortSignal,
): Promise<CanaryBeat> {
  const { url } = options;
  const limitMs = Math.min(MAX_BEAT_MS, options.intervalMs);
  const signal = AbortSignal.any([stopping, AbortSignal.timeout(limitMs)]);
  const stages: StageTimes = {};
  const atMs = ctx.clock.now();
  let error: string | undefined;
  let feed: WatchedFeed | undefined;
  try {
    const account = await prepared();
    feed = waitForFeed({
      url,
      publicKey: account.publicKey,
      topic: `feeds:${account.feedChannelId}:${RECIPIENT}`,
    });
    // A socket that does not come up is a stage that is missing, and no reason not to try the others.
    await Promise.race([feed.joined, aborted(signal, limitMs / 2)]).catch((reason) => {
      error = messageOf(reason);
    });
    const sentMs = performance.now();
    const sentAtMs = ctx.clock.now();
    void feed.rung.then(() => {
      stages.notified = performance.now() - sentMs;
    });
    const runId = await trigger(url, account, signal);
    stages.accepted = performance.now() - sentMs;
    for (let lookMs = FIRST_LOOK_MS; !signal.aborted; lookMs = Math.min(lookMs * 2, MAX_LOOK_MS)) {
      await Promise.race([look(ctx, account, runId, sentAtMs, stages), aborted(signal, limitMs)]);
      if (missing(stages).length === 0) break;
      await aborted(signal, lookMs);
    }
  } catch (reason) {
    error = messageOf(reason);
  } finally {
    feed?.close();
  }
  return { atMs, stages, missing: missing(stages), error };
}

const messageOf = (reason: unknown): string =>
  reason instanceof Error ? reason.message : String(reason);

const missing = (stages: StageTimes): CanaryStage[] =>
  canaryStages.filter((stage) => stages[stage] === undefined);

async function trigger(url: string, account: CanaryAccount, signal: AbortSignal): Promise<string> {
  const response = await fetch(`${url}/v1/workflows/${CANARY_WORKFLOW}/trigger`, {
    method: 'POST',
    signal,
    headers: {
      authorization: `Bearer ${account.secretKey}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ recipients: [RECIPIENT] }),
  });
  const text = await response.text();
  if (!response.ok) {
    throw new Error(`the trigger was answered with ${response.status}: ${text.slice(0, 300)}`);
  }
  return String((JSON.parse(text) as { workflow_run_id: unknown }).workflow_run_id);
}

/** What the database has of the run. The executors' clock is this machine's, so times can be compared. */
async function look(
  ctx: Context,
  account: CanaryAccount,
  runId: string,
  sentAtMs: number,
  stages: StageTimes,
): Promise<void> {
  const rows = await ctx.db.query<{
    channel_id: string;
    inserted_at: Date;
    attempted_at: Date | null;
  }>(
    {
      name: 'canary_look',
      text: `
        select m.channel_id, m.inserted_at, d.attempted_at
        from message m
        left join delivery d on d.message_id = m.id
        where m.environment_id = $1
          and m.recipient_id = $2
          and m.channel_id = any($3::uuid[])
          and m.id > $4
          and m.workflow_run_id = $4`,
    },
    [account.environmentId, RECIPIENT, [account.feedChannelId, account.sinkChannelId], runId],
  );
  for (const {
    channel_id: channelId,
    inserted_at: executedAt,
    attempted_at: deliveredAt,
  } of rows) {
    if (channelId === account.feedChannelId) {
      stages.executed ??= Math.max(0, executedAt.getTime() - sentAtMs);
    } else if (deliveredAt !== null) {
      stages.delivered ??= Math.max(0, deliveredAt.getTime() - sentAtMs);
    }
  }
}

/** Resolves after `delayMs`, or at once when aborted. */
function aborted(signal: AbortSignal, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    if (signal.aborted) done();
    else signal.addEventListener('abort', done);
  });
}
