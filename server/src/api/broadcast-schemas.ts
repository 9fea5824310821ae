import { Type } from 'typebox';
import { Nullable, openObject } from './schemas.ts';

export const BroadcastParams = Type.Object({
  id: Type.String({ description: 'The id of the broadcast, or the key that it was given.' }),
});

const Time = Type.String({ format: 'date-time' });

export const Rate = Nullable(
  Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    description: 'Recipients per second; null: as fast as it goes.',
  }),
);

export const BroadcastBody = Type.Object({
  workflow: Type.String({ description: 'Key of the published workflow.' }),
  audience: Type.Optional(
    Nullable(
      Type.String({ description: 'Key of the audience; without one it goes to all users.' }),
    ),
  ),
  key: Type.Optional(
    Type.String({ description: 'A name of your own; a second broadcast of this name is refused.' }),
  ),
  actor: Type.Optional(Nullable(Type.Union([Type.String(), Type.Object({}, openObject)]))),
  tenant: Type.Optional(
    Nullable(
      Type.Union([Type.String(), Type.Object({}, openObject)], {
        description:
          "Everybody's tenant. Without one each member has the tenant of their membership.",
      }),
    ),
  ),
  data: Type.Optional(Nullable(Type.Object({}, openObject))),
  settings: Type.Optional(
    Nullable(
      Type.Object({
        sandbox_mode: Type.Optional(Nullable(Type.Boolean())),
        skip_delay: Type.Optional(Nullable(Type.Boolean())),
      }),
    ),
  ),
  rate: Type.Optional(Rate),
  canary: Type.Optional(
    Type.Object({
      size: Type.Optional(
        Type.Integer({
          minimum: 0,
          maximum: 1_000_000,
          description: 'Recipients of the canary; 1 % and at most 100 by default, 0 for none.',
        }),
      ),
      max_failed_share: Type.Optional(
        Type.Number({
          minimum: 0,
          maximum: 1,
          description: 'More failures than this share of the canary pause it; 0.05 by default.',
        }),
      ),
    }),
  ),
  start: Type.Optional(
    Type.Boolean({ description: 'false: it waits to be resumed when its audience is frozen.' }),
  ),
});

const answer = {
  __typename: Type.Literal('Broadcast'),
  id: Type.String({ format: 'uuid' }),
  key: Nullable(Type.String()),
  workflow: Type.String(),
  audience: Nullable(Type.String({ description: 'null: all users, or those of `retry_of`.' })),
  retry_of: Nullable(Type.String({ format: 'uuid' })),
  tenant: Nullable(Type.String()),
  state: Type.Union(
    (
      ['freezing', 'canary', 'running', 'paused', 'cancelling', 'cancelled', 'finished'] as const
    ).map((state) => Type.Literal(state)),
  ),
  reason: Nullable(Type.String({ description: 'Why it paused itself.' })),
  rate: Rate,
  canary: Type.Object({
    size: Nullable(Type.Integer()),
    max_failed_share: Type.Number(),
    state: Type.Union([Type.Literal('open'), Type.Literal('passed'), Type.Literal('failed')]),
  }),
  total: Nullable(Type.Integer({ description: 'Recipients; null until they are frozen.' })),
  created_at: Time,
  changed_at: Time,
};

export const BroadcastAnswer = Type.Object(answer);

export const BroadcastWithProgress = Type.Object({
  ...answer,
  progress: Type.Object({
    total: Nullable(Type.Integer()),
    frozen: Type.Integer(),
    sent: Type.Integer({ description: 'Done, or will be whatever happens.' }),
    done: Type.Integer(),
    failed: Type.Integer(),
    discarded: Type.Integer(),
    per_second: Type.Number({ description: 'Over the last 10 s.' }),
    finish_estimate_at: Nullable(Time),
    stuck: Type.Boolean({ description: 'It should go on and did nothing for a minute.' }),
  }),
});
