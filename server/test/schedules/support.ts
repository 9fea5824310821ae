import { openBulkStream } from '../../src/engine/bulk-stream.ts';
import type { ChunkRef, RunState, RunsBody, WireReference } from '../../src/engine/log/chunk.ts';
import { createSchedules, type NewSchedule } from '../../src/schedules/create-schedules.ts';
import { type Pass, readDue } from '../../src/schedules/due-schedules.ts';
import { fireSchedules } from '../../src/schedules/fire-schedules.ts';
import type { ScheduleRow } from '../../src/schedules/schedule.ts';
import { createEngineWorld, type EngineWorld, feedStep } from '../support/engine-world.ts';
import { silentLog } from '../support/log.ts';

export type Fired = {
  readonly laneId: number;
  /** What only this run has, a fan-out for example. */
  readonly state: RunState | undefined;
  readonly recipient: WireReference;
  readonly trigger: RunsBody['triggers'][number];
};

/** Schedules with a clock that tests move, and nobody who fires them but the test. */
export type ScheduleWorld = {
  readonly world: EngineWorld;
  readonly openStream: () => ReturnType<typeof openBulkStream>;
  readonly create: (schedule?: Partial<NewSchedule>) => Promise<ScheduleRow>;
  /** Makes so many of an environment that are due at a time. */
  readonly makeDue: (environmentId: number, count: number, time: Date) => Promise<void>;
  readonly row: (id: string) => Promise<ScheduleRow>;
  /** Hands over all that is due now, page by page; returns what is in the log of it. */
  readonly fire: () => Promise<readonly Fired[]>;
  /** Chunks that were appended since it was asked last. */
  readonly appended: () => ChunkRef[];
  readonly fired: (refs: readonly ChunkRef[]) => Promise<Fired[]>;
  /** The pages that are due, as long as somebody fires them. */
  readonly close: () => Promise<void>;
};

const MAX_PAGES = 100;

export async function createScheduleWorld(): Promise<ScheduleWorld> {
  const world = await createEngineWorld();
  const { db, url } = world.test;
  const { workflowKey } = await world.workflow({ steps: [feedStep('Hello')] });
  let reported: ChunkRef[] = [];
  const openStream = () =>
    openBulkStream({
      url,
      clock: world.clock,
      log: silentLog,
      isCrowded: () => false,
      onAppended: (refs) => reported.push(...refs),
    });
  const stream = await openStream();
  const appended = (): ChunkRef[] => {
    const refs = reported;
    reported = [];
    return refs;
  };

  async function fired(refs: readonly ChunkRef[]): Promise<Fired[]> {
    const all: Fired[] = [];
    for (const { slot, stream: number, sequence, laneId } of refs) {
      const [row] = await db.query<{ body: string }>(
        `select body
         from chunk
         where slot = $1 and stream = $2 and sequence = $3`,
        [slot, number, sequence],
      );
      const body = JSON.parse(row?.body ?? '{}') as RunsBody;
      for (const [index, recipient, state] of body.runs) {
        const trigger = body.triggers[index];
        if (trigger) all.push({ laneId, recipient, state, trigger });
      }
    }
    return all;
  }

  return {
    world,
    openStream,
    appended,
    fired,
    create: async (schedule) => {
      const [row] = await createSchedules(world.ctx, {
        schedules: [
          {
            workflowKey,
            recipient: { collection: '$users', id: 'ada' },
            actor: null,
            tenant: null,
            data: {},
            repeats: [],
            scheduledMs: undefined,
            endingMs: undefined,
            ...schedule,
          },
        ],
      });
      if (!row) throw new Error('no schedule');
      return row;
    },
    makeDue: async (environmentId, count, time) => {
      await db.query(
        `insert into schedule (id, environment_id, workflow_key, collection, recipient_id, data, data_size, repeats,
                               scheduled_at, starts_at, next_occurrence_at, wake_at, inserted_at, updated_at)
         select gen_random_uuid(), $1, 'workflow-1', '$users', 'user-' || n, '{}', 2, '[]', $3, $3, $3, $3, $3, $3
         from generate_series(1, $2::int) as n`,
        [environmentId, count, time],
      );
    },
    row: async (id) => {
      const [row] = await db.query<ScheduleRow>('select * from schedule where id = $1', [id]);
      if (!row) throw new Error('no schedule');
      return row;
    },
    fire: async () => {
      appended();
      let pass: Pass | undefined;
      for (let page = 0; page < MAX_PAGES; page++) {
        const due = await readDue(db, world.clock.now(), pass);
        if (due.schedules.length === 0 && !pass) break;
        if (due.schedules.length > 0) {
          await fireSchedules(stream, due.schedules, world.clock.now());
        }
        pass = due.pass;
      }
      return fired(appended());
    },
    close: async () => {
      await stream.close();
      await world.close();
    },
  };
}

export const daily = (hours: number, minutes = 0) => ({ frequency: 'daily', hours, minutes });
