import type { StoreFigures } from './figures.ts';
import type { FullDisk } from './full-disk.ts';
import type { SampleRow } from './load/protocol.ts';
import { countLogGap } from './log-gap.ts';
import { countUnreadable, type MailReport, reportMails } from './mails.ts';
import type { Stage } from './stage.ts';
import { rounded } from './statistics.ts';
import type { StoreFaults, Window } from './store-faults.ts';
import { logStoreHas, objectStoreDrained } from './stores-state.ts';
import { wallClockMs } from './wall-clock.ts';

/** From when an id is made until its row is committed, when nothing but the server's own triggers is under way. */
const COMMITTED_WITHIN_MS = 5_000;

/** What of the stores stands beside the figures. */
export type StoreDetails = {
  readonly mails?: MailReport;
  /** What the object store was asked and answered. */
  readonly object_store?: Readonly<Record<string, unknown>>;
  /** What came to the log store, by table. */
  readonly log_store?: Readonly<Record<string, unknown>>;
};

export type StoresSeen = {
  readonly figures: Partial<StoreFigures>;
  readonly details: StoreDetails;
  /** What the neighbours who send e-mails sent. */
  readonly mailRows: readonly SampleRow[];
};

/** Waits until the stores have everything, and looks whether that is so. Nothing without stores. */
export async function judgeStores(
  stage: Stage,
  seen: {
    readonly calm: Window;
    readonly floodMs: number;
    readonly faults: StoreFaults;
    readonly fullDisk: FullDisk | undefined;
  },
): Promise<StoresSeen> {
  const { stores } = stage;
  if (!stores) return { figures: {}, details: {}, mailRows: [] };
  const objects = stores.objectStore ? await judgeObjectStore(stage, seen) : undefined;
  const logs = stores.logStore ? await judgeLogStore(stage, seen.faults) : undefined;
  const again = seen.fullDisk?.acceptingAgainSeconds;
  return {
    figures: {
      ...objects?.figures,
      ...logs?.figures,
      disk_accepting_again_s: again === undefined ? null : rounded(again, 2),
    },
    details: { ...objects?.details, ...logs?.details },
    mailRows: objects?.mailRows ?? [],
  };
}

async function judgeObjectStore(
  stage: Stage,
  {
    calm,
    floodMs,
    faults,
  }: { readonly calm: Window; readonly floodMs: number; readonly faults: StoreFaults },
): Promise<StoresSeen> {
  const { stores, timeline, mails } = stage;
  const isDrained = await objectStoreDrained(stage);
  timeline.note(
    isDrained ? 'the object store has every body' : 'bodies still wait for the object store',
  );
  const mailRows = (await mails?.samples()) ?? [];
  const throttled = faults.throttled ?? { fromMs: floodMs, untilMs: floodMs };
  const withoutFaults = [calm, { fromMs: floodMs, untilMs: throttled.fromMs }];
  const report = await reportMails(stage, mailRows, { withoutFaults, throttled });
  // Before the drill itself asks for every body.
  const counters = await stores?.objectStore?.counters();
  const unreadable = await countUnreadable(stage, mailRows);
  timeline.note(
    `${mailRows.length.toLocaleString('en')} bodies are read over the API, ${unreadable} cannot be`,
  );
  return {
    figures: {
      bodies_unreadable: isDrained ? unreadable : null,
      bodies_late: report.late,
      object_store_requests_per_s: counters?.busiestSecond ?? null,
    },
    details: { mails: report, object_store: { ...counters } },
    mailRows,
  };
}

async function judgeLogStore(
  stage: Stage,
  faults: StoreFaults,
): Promise<Pick<StoresSeen, 'figures' | 'details'>> {
  const { stores, timeline } = stage;
  const caughtUp = await faults.caughtUpSeconds;
  const nowMs = wallClockMs();
  const isWhole = await logStoreHas(stage, nowMs);
  const gap = isWhole ? await countLogGap(stage, nowMs - COMMITTED_WITHIN_MS) : null;
  timeline.note(
    gap === null
      ? 'the log store does not say that it has everything'
      : `the log store is compared with the database, row by row: ${gap.toLocaleString('en')} are missing`,
  );
  return {
    figures: {
      log_gap: gap,
      log_store_caught_up_s: caughtUp === undefined ? null : rounded(caughtUp),
    },
    details: { log_store: { ...(await stores?.logStore?.tables()) } },
  };
}
