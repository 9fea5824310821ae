import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BodiesConfig } from '../../src/bodies/config.ts';
import { guardStore } from '../../src/bodies/guarded-store.ts';
import { createMoverSteps, type MoverSteps } from '../../src/bodies/mover-steps.ts';
import type { ObjectStore } from '../../src/bodies/object-store.ts';
import { type BodyReader, createBodyReader } from '../../src/bodies/read-bodies.ts';
import { createRingGate, type RingGate } from '../../src/bodies/ring-gate.ts';
import { openS3Store } from '../../src/bodies/s3-store.ts';
import {
  type ObjectStoreStandIn,
  startObjectStore,
} from '../../src/drill/stand-ins/object-store.ts';
import type { ChunkRef } from '../../src/engine/log/chunk.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { temporaryDirectory } from '../cli/belfry.ts';
import { appendedDeliveries, createEngineWorld, type EngineWorld } from './engine-world.ts';
import { silentLog } from './log.ts';
import { seededRandom } from './random.ts';
import { users } from './triggers.ts';

const KEYS = { accessKeyId: 'AKTEST', secretAccessKey: 'SKTEST', region: 'eu-west-1' };
const BUCKET = 'bodies';
const REQUEST_MS = 1_500;
const ROUNDS = 200;

/** A store at the wire, with credentials for it in this process's environment. */
export async function startTestStore(): Promise<
  ObjectStoreStandIn & { readonly config: BodiesConfig; readonly objects: () => Promise<string[]> }
> {
  process.env.AWS_ACCESS_KEY_ID = KEYS.accessKeyId;
  process.env.AWS_SECRET_ACCESS_KEY = KEYS.secretAccessKey;
  const directory = await temporaryDirectory();
  const stand = await startObjectStore({
    ...{ directory: join(directory.path, 'objects'), buckets: [BUCKET], ...KEYS },
    ...{ nowMs: Date.now, random: seededRandom(1) },
  });
  return {
    ...stand,
    config: {
      ...{ bucket: BUCKET, prefix: 'test/', endpoint: stand.url, region: KEYS.region },
      ...{ minBytes: 2_048, backlogBytes: 1024 ** 3 },
    },
    objects: () => stand.keys(BUCKET),
    close: async () => {
      await stand.close();
      await rm(directory.path, { recursive: true, force: true });
    },
  };
}

/** An engine's parts with an object store, and the mover's steps, nothing of which runs by itself. */
export type BodiesWorld = {
  readonly world: EngineWorld;
  readonly store: Awaited<ReturnType<typeof startTestStore>>;
  readonly gate: RingGate;
  readonly bodies: BodyReader;
  readonly direct: ObjectStore;
  readonly steps: MoverSteps;
  /** A mover that knows nothing yet, not even that the store fails. */
  readonly newSteps: () => MoverSteps;
  /** Messages of an e-mail step, whose text is `text(user)`; returns their ids and the chunks of their deliveries. */
  readonly send: (
    count: number,
    text?: string,
  ) => Promise<{ readonly ids: readonly string[]; readonly deliveries: readonly ChunkRef[] }>;
  /** Says of messages that their provider has them. */
  readonly markSent: (ids: readonly string[]) => Promise<void>;
  /** Moves the clock past waiting and slots, and lets the mover work until nothing is left to move. */
  readonly moveAll: (steps?: MoverSteps) => Promise<void>;
  /** What each message says; a string where that cannot be read. */
  readonly read: (ids: readonly string[]) => Promise<readonly (JsonObject | string)[]>;
  readonly ringRows: () => Promise<number>;
  readonly close: () => Promise<void>;
};

export const LONG_TEXT = `Dear {{ recipient.id }}, ${'all that there is to say. äöü '.repeat(150)}`;

export async function createBodiesWorld(
  settings: Partial<BodiesConfig> = {},
): Promise<BodiesWorld> {
  const store = await startTestStore();
  const config = { ...store.config, ...settings };
  const world = await createEngineWorld();
  const { db } = world.test;
  const { clock } = world;
  const gate = createRingGate({ ...config, db, nowMs: clock.now, log: silentLog });
  await gate.look();
  Object.assign(world.services, { bodies: gate });
  const s3 = await openS3Store(config, { requestMs: REQUEST_MS });
  const random = seededRandom(3);
  const closing = new AbortController();
  const bodies = createBodyReader({ db, store: async () => s3, log: silentLog });
  const newSteps = (): MoverSteps =>
    createMoverSteps({
      ...{ db, config, random, nowMs: clock.now, log: silentLog },
      store: guardStore(s3, { nowMs: Date.now, random }),
      signal: closing.signal,
    });
  const steps = newSteps();

  const ringRows = async (): Promise<number> => {
    const [row] = await db.query<{ n: number }>('select count(*) as n from body_pack');
    return row?.n ?? 0;
  };

  return {
    ...{ world, store, gate, bodies, steps, newSteps, ringRows, direct: s3 },
    send: async (count, text = LONG_TEXT) => {
      const step = {
        ...{ ref: 'email_1', type: 'channel', channel_key: 'email' },
        template: { subject: 'Hello', text_body: text },
      };
      const of = await world.workflow({ steps: [step] });
      const recipients = users(count).map(({ recipient: id }) => ({
        ...{ id, email: `${id}@example.org` },
      }));
      await db.query(
        `insert into recipient (environment_id, collection, id, properties)
         select $1, '$users', r ->> 'id', r
         from jsonb_array_elements($2::jsonb) as r
         on conflict do nothing`,
        [world.ctx.environment.id, JSON.stringify(recipients)],
      );
      const { refs, runIds } = await world.accept({ ...of, recipients: users(count) });
      const deliveries = appendedDeliveries(await world.execute(refs));
      const rows = await db.query<{ id: string }>(
        'select id from message where workflow_run_id = any($1::uuid[]) order by id',
        [runIds],
      );
      return { ids: rows.map(({ id }) => id), deliveries };
    },
    markSent: async (ids) => {
      await db.query(
        `insert into delivery (message_id, attempt, status, provider, detail, attempted_at)
         select id, 1, 1, 'test', '{}', now()
         from unnest($1::uuid[]) as id`,
        [ids],
      );
    },
    moveAll: async (own = steps) => {
      for (let round = 0; round < ROUNDS; round++) {
        clock.move(31_000);
        while ((await own.look()) === 'more');
        own.startBatches();
        await own.settled();
        await own.giveBack();
        await own.measure();
        if (own.state().backlog.packs === 0) return;
      }
      throw new Error(`the mover did not get to the end: ${JSON.stringify(own.state())}`);
    },
    read: async (ids) => {
      const rows = await db.query<{ id: string; environment_id: number; content: JsonObject }>(
        'select id, environment_id, content from message where id = any($1::uuid[])',
        [ids],
      );
      const read = await bodies.read(rows);
      return ids.map((id) => {
        const body = read.get(id);
        if (!body) return 'no message';
        return 'content' in body ? body.content : body.unreadable.kind;
      });
    },
    ringRows,
    close: async () => {
      closing.abort();
      await steps.settled();
      s3.close();
      await world.close();
      await store.close();
    },
  };
}
