import { Type } from 'typebox';
import type { App } from '../route.ts';
import { answers, Nullable } from '../schemas.ts';
import type { Services } from '../services.ts';
import { carrierStatus, logStoreStatus, objectStoreStatus } from '../store-status.ts';

const ObjectStoreAnswer = Type.Object({
  place: Type.String({ description: 'Bucket and prefix.', examples: ['s3://messages/belfry/'] }),
  endpoint: Nullable(
    Type.String({ description: 'Null: AWS.', examples: ['https://objects.example.com'] }),
  ),
  state: Type.String({
    enum: ['up', 'failing', 'starting', 'down'],
    description:
      '`failing`: requests fail, contents wait in the database. `down`: nothing is carried; see `reason`.',
  }),
  reason: Nullable(Type.String({ examples: ['SlowDown: Please reduce your request rate.'] })),
  backlog: Type.Object(
    {
      packs: Type.Integer(),
      bytes: Type.Integer(),
      oldest_at: Nullable(Type.String()),
    },
    { description: 'What the store does not have yet.' },
  ),
  ring: Type.Object(
    { bytes: Type.Integer(), bound_bytes: Type.Integer() },
    { description: 'What it takes in the database; from the bound on contents stay there.' },
  ),
  moved: Type.Object({
    objects: Type.Integer(),
    packs: Type.Integer(),
    bytes: Type.Integer(),
  }),
  requests: Type.Record(Type.String(), Type.Integer(), {
    description: 'Since the start of the carrier, by outcome; `held_back`: not sent.',
  }),
  throttled: Type.Number({ description: 'Share of requests that are held back, 0 to 1.' }),
  breaker: Type.String({ enum: ['closed', 'open', 'half_open'] }),
  last_error: Nullable(
    Type.Object({
      code: Type.String({ examples: ['SlowDown'] }),
      message: Type.String({ examples: ['Please reduce your request rate.'] }),
    }),
  ),
  kept_in_database: Type.Integer({
    description: 'Contents that stay in the database for good, because too much waited.',
  }),
  kept_for_delivery: Type.Integer({
    description:
      'Contents that went back into their messages, because those were still to be delivered.',
  }),
  slots_given_back: Type.Integer(),
  erasures_open: Type.Integer({
    description:
      'Contents of deleted messages that are not blanked everywhere yet, 10,000 at the most.',
  }),
  objects_deleted: Type.Integer(),
});

const LogStoreAnswer = Type.Object({
  place: Type.String({
    description: 'Host and database.',
    examples: ['clickhouse.internal:8123/logs'],
  }),
  state: Type.String({
    enum: ['up', 'failing', 'starting', 'down'],
    description: '`failing`: it does not take what is sent, which waits in the database.',
  }),
  reason: Nullable(Type.String({ examples: ['connect ECONNREFUSED 10.0.0.7:8123'] })),
  data_as_of: Nullable(
    Type.String({
      format: 'date-time',
      description: 'Everything that was committed before is in the store.',
    }),
  ),
  backlog_bytes: Type.Integer({ description: 'Ids that wait in the database.' }),
  gaps: Type.Integer({ description: 'Times of which rows are looked for in the tables.' }),
  shipped_rows: Type.Integer({ description: 'Since the start of the carrier.' }),
  refused_rows: Type.Integer({
    description:
      'Likewise: rows that the store cannot read, which are left out and named in the log.',
  }),
  failures: Type.Integer({ description: 'Likewise.' }),
  deletions_open: Type.Integer({
    description: 'Deleted recipients whose rows are still in the store.',
  }),
});

const CarrierAnswer = Type.Object({
  state: Type.String({ enum: ['none', 'starting', 'running', 'restarting', 'silent'] }),
  restarts: Type.Integer(),
  said_at: Nullable(Type.String({ description: 'From when the rest of this answer is.' })),
});

const StoresAnswer = Type.Object({
  carrier: Nullable(CarrierAnswer),
  object_store: Nullable(ObjectStoreAnswer),
  log_store: Nullable(LogStoreAnswer),
});

/** What is carried to stores beside the database, and what waits for them. */
export function opsStoresRoutes(app: App, services: Services): void {
  app.get(
    '/ops/v1/stores',
    {
      config: { access: 'operator' },
      schema: {
        description:
          'Tells how the stores beside the database do, and what waits for them; null where none is configured.',
        tags: ['Operator'],
        response: answers({ 200: StoresAnswer }),
      },
    },
    async (_request, reply) => {
      const report = services.stores?.();
      const { objectStore, logStore } = services.config;
      return reply.send({
        carrier: report ? carrierStatus(report) : null,
        object_store: report && objectStore ? objectStoreStatus(objectStore, report) : null,
        log_store: report && logStore ? logStoreStatus(logStore, report) : null,
      });
    },
  );
}
