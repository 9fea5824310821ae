import { Counter, Gauge, Registry } from 'prom-client';
import type { RecorderStats } from './api-logs/recorder.ts';
import type { FeederStats } from './broadcasts/feeder.ts';
import type { Budgets } from './budgets/budgets.ts';
import type { DiskState } from './budgets/disk-room.ts';
import type { CarrierReport } from './carrier/start-carrier.ts';
import type { OpenDeletions } from './deletion/open-deletions.ts';
import type { EngineStats } from './engine/start.ts';
import type { CanaryStatus } from './ops/canary.ts';
import type { RetentionStats } from './retention/retention-clock.ts';
import type { ScheduleClockStats } from './schedules/schedule-clock.ts';
import { registerStoreMetrics } from './store-metrics.ts';
import type { SenderStats } from './webhooks/sender.ts';

/** The server's numbers for Prometheus, read when they are asked for. */
export function createMetrics(parts: {
  readonly engine: () => EngineStats | undefined;
  readonly sockets: () => number;
  /** Quarantine levels by account, of those that are not normal. */
  readonly quarantine: () => ReadonlyMap<number, number>;
  readonly budgets: Pick<Budgets, 'accept' | 'refusals'>;
  readonly broadcasts: () => FeederStats | undefined;
  readonly schedules: () => ScheduleClockStats | undefined;
  readonly deletions: () => OpenDeletions;
  readonly webhooks: () => SenderStats | undefined;
  readonly retention: () => RetentionStats;
  readonly apiLogs: () => RecorderStats;
  /** Undefined where the database is on somebody else's disk. */
  readonly disk: () => DiskState | undefined;
  /** Absent: no store is configured. */
  readonly carrier?: (() => CarrierReport) | undefined;
  readonly canary: () => CanaryStatus | undefined;
}): Registry {
  const registry = new Registry();

  const gauge = (name: string, help: string, read: (stats: EngineStats) => number): void => {
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        collect() {
          const stats = parts.engine();
          if (stats) this.set(read(stats));
        },
      }),
    );
  };

  gauge(
    'belfry_triggers_accepted',
    'Triggers accepted since the start.',
    (s) => s.appender.triggers,
  );
  gauge('belfry_runs_accepted', 'Recipient runs accepted since the start.', (s) => s.appender.runs);
  gauge('belfry_append_commits', 'Commits that carried triggers.', (s) => s.appender.commits);
  gauge('belfry_append_pending', 'Triggers waiting for their commit.', (s) => s.appender.pending);
  gauge(
    'belfry_runs_executed',
    'Recipient runs executed since the start.',
    (s) => s.executors.runs,
  );
  gauge(
    'belfry_messages',
    'Messages made or delivered since the start.',
    (s) => s.executors.messages,
  );
  gauge('belfry_runs_queued', 'Recipient runs waiting.', (s) => s.queuedRuns);
  gauge('belfry_deliveries_queued', 'Deliveries waiting.', (s) => s.queuedDeliveries);
  gauge(
    'belfry_calls_queued',
    'Runs that wait for a request of one of their steps to begin.',
    (s) => s.queuedCalls,
  );
  gauge('belfry_assignments', 'Assignments under way.', (s) => s.assignments);
  gauge('belfry_lanes', 'Lanes that had work since the start.', (s) => s.lanes);
  gauge('belfry_timers_near', 'Timers that fall due within a minute.', (s) => s.timers);
  gauge(
    'belfry_timer_lateness_seconds',
    'How late the oldest due timer was when it was last looked at.',
    (s) => s.timerLatenessMs / 1_000,
  );
  gauge('belfry_executors', 'Executor processes that take work.', (s) => s.executors.executors);
  gauge(
    'belfry_executor_restarts',
    'Executors that died and were replaced.',
    (s) => s.executors.restarts,
  );
  gauge(
    'belfry_executor_cpu_seconds',
    'CPU time of the executors.',
    (s) => s.executors.cpuMs / 1_000,
  );
  gauge('belfry_executor_resident_bytes', 'Memory of the executors.', (s) => s.executors.rssBytes);
  gauge('belfry_engine_owner', '1 while this server schedules the database.', (s) =>
    s.owner ? 1 : 0,
  );

  gauge(
    'belfry_ledger_gap_runs',
    'Recipient runs by which accepted and executed or pending work differ; 0 when the ledger balances.',
    (s) => s.ledger?.gapRuns ?? 0,
  );
  gauge(
    'belfry_ledger_checked_at_seconds',
    'When the ledger was last checked, in seconds since 1970; 0 when it was not since the start.',
    (s) => (s.ledger?.checkedAtMs ?? 0) / 1_000,
  );

  registry.registerMetric(
    new Gauge({
      name: 'belfry_orders',
      help: 'Orders of operators in force, those of automatic quarantine included.',
      labelNames: ['verb'],
      registers: [],
      collect() {
        this.reset();
        for (const [verb, count] of parts.engine()?.orders ?? []) this.set({ verb }, count);
      },
    }),
  );
  gauge(
    'belfry_runs_held',
    'Recipient runs that holds and slows keep, of the last six days, when the ledger was last checked.',
    (s) => s.ledger?.heldRuns ?? 0,
  );
  gauge(
    'belfry_runs_discarded',
    'Recipient runs that discards keep and that can be replayed, likewise.',
    (s) => s.ledger?.keptRuns ?? 0,
  );

  const broadcastGauge = (name: string, help: string, key: keyof FeederStats): void => {
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        collect() {
          this.set(parts.broadcasts()?.[key] ?? 0);
        },
      }),
    );
  };
  broadcastGauge(
    'belfry_broadcasts_unfinished',
    'Broadcasts that are not over, the paused ones included.',
    'unfinished',
  );
  broadcastGauge(
    'belfry_broadcasts_stuck',
    'Broadcasts that should go on and did nothing for a minute.',
    'stuck',
  );

  registry.registerMetric(
    new Gauge({
      name: 'belfry_deletions_open',
      help: 'Deleted recipients of whom something may be left, 10,000 at the most.',
      registers: [],
      collect() {
        this.set(parts.deletions().open);
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'belfry_deletion_age_seconds',
      help: 'How long ago the oldest deletion that is not over was asked for; two minutes are usual, ten are promised.',
      registers: [],
      collect() {
        const { oldest } = parts.deletions();
        this.set(oldest ? Math.max(0, Date.now() - oldest.getTime()) / 1_000 : 0);
      },
    }),
  );

  registry.registerMetric(
    new Gauge({
      name: 'belfry_retention_dropped_partitions',
      help: 'Partitions dropped since the start, because all of them was older than its retention.',
      registers: [],
      collect() {
        this.set(parts.retention().dropped);
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'belfry_retention_overdue_partitions',
      help: 'Partitions older than their retention that are still there: parked runs need them, or they were in use.',
      registers: [],
      collect() {
        this.set(parts.retention().overdue);
      },
    }),
  );

  const apiLogs: readonly (readonly [string, string, keyof RecorderStats])[] = [
    ['belfry_api_logs_recorded', 'Requests recorded since the start.', 'recorded'],
    ['belfry_api_logs_skipped', 'Requests that were counted and not recorded.', 'skipped'],
    ['belfry_api_logs_queued', 'Recorded requests that are not in the database yet.', 'queued'],
  ];
  for (const [name, help, stat] of apiLogs) {
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        collect() {
          this.set(parts.apiLogs()[stat]);
        },
      }),
    );
  }

  if (parts.carrier)
    registerStoreMetrics(registry, parts.carrier, () => parts.engine()?.executors.keptBodies ?? 0);

  registry.registerMetric(
    new Gauge({
      name: 'belfry_schedules_late_seconds',
      help: 'How far the oldest occurrence of a schedule that is due and not handed over is behind.',
      registers: [],
      collect() {
        this.set((parts.schedules()?.latenessMs ?? 0) / 1000);
      },
    }),
  );

  const webhookGauge = (name: string, help: string, key: keyof SenderStats): void => {
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        collect() {
          this.set(parts.webhooks()?.[key] ?? 0);
        },
      }),
    );
  };
  webhookGauge('belfry_webhook_endpoints', 'Enabled outbound webhooks.', 'endpoints');
  webhookGauge('belfry_webhook_requests', 'Requests to outbound webhooks under way.', 'underWay');
  webhookGauge(
    'belfry_webhook_events_delivered',
    'Events that webhooks took since the start.',
    'delivered',
  );
  webhookGauge(
    'belfry_webhook_attempts_failed',
    'Requests to webhooks that failed since the start.',
    'failedAttempts',
  );

  registry.registerMetric(
    new Counter({
      name: 'belfry_refused_total',
      help: 'Requests that a budget refused since the start, of the 1,000 accounts refused last.',
      labelNames: ['account', 'budget'],
      registers: [],
      collect() {
        this.reset();
        for (const { accountId, counts } of parts.budgets.refusals.all()) {
          for (const [budget, count] of Object.entries(counts)) {
            this.inc({ account: accountId, budget }, count);
          }
        }
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'belfry_accept_level',
      help: 'Share of the event loop that one account may have while others are active; 1 without pressure.',
      registers: [],
      collect() {
        this.set(Math.min(1, parts.budgets.accept.level() / 1_000));
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'belfry_canary_seconds',
      help: 'Seconds from the latest trigger that the server sent itself until it reached the stage.',
      labelNames: ['stage'],
      registers: [],
      collect() {
        this.reset();
        for (const [stage, ms] of Object.entries(parts.canary()?.last?.stages ?? {})) {
          this.set({ stage }, ms / 1_000);
        }
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'belfry_canary_silent',
      help: '1 when two or more triggers in a row that the server sent itself did not get through.',
      registers: [],
      collect() {
        this.set(parts.canary()?.state === 'silent' ? 1 : 0);
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'belfry_canary_complete_at_seconds',
      help: 'When the server’s own trigger last reached every stage, in seconds since 1970; 0 when it did not since the start.',
      registers: [],
      collect() {
        this.set((parts.canary()?.lastCompleteMs ?? 0) / 1_000);
      },
    }),
  );

  registry.registerMetric(
    new Gauge({
      name: 'belfry_quarantine_level',
      help: 'Accounts that are not normal, by number: 1 noisy, 2 surge, 3 paused, 4 reject.',
      labelNames: ['account'],
      registers: [],
      collect() {
        this.reset();
        for (const [account, level] of parts.quarantine()) this.set({ account }, level);
      },
    }),
  );
  const disk: readonly (readonly [string, string, keyof DiskState])[] = [
    ['belfry_disk_free_bytes', 'Free space on the disk of the embedded database.', 'freeBytes'],
    [
      'belfry_disk_floor_bytes',
      'With less free space than this nothing is accepted.',
      'floorBytes',
    ],
  ];
  for (const [name, help, stat] of disk) {
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        collect() {
          this.reset();
          const state = parts.disk();
          if (state) this.set(state[stat]);
        },
      }),
    );
  }
  registry.registerMetric(
    new Gauge({
      name: 'belfry_sockets',
      help: 'Open realtime sockets.',
      registers: [],
      collect() {
        this.set(parts.sockets());
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'belfry_resident_bytes',
      help: 'Memory of the server process.',
      registers: [],
      collect() {
        this.set(process.memoryUsage.rss());
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'belfry_cpu_seconds',
      help: 'CPU time of the server process.',
      registers: [],
      collect() {
        const { user, system } = process.cpuUsage();
        this.set((user + system) / 1e6);
      },
    }),
  );
  return registry;
}
