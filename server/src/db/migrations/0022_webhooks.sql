-- Where accounts are told what happens, and what they are told; see webhooks/README.md.
create table webhook_endpoint (
  id int generated always as identity primary key,
  public_id uuid not null unique,
  environment_id int not null references environment (id),
  url text not null,
  description text,
  -- Numbers of signals/webhook-event-types.ts.
  types smallint[] not null,
  -- Sealed.
  secret text not null,
  previous_secret text,
  previous_until timestamptz,
  state text not null default 'enabled' check (state in ('enabled', 'suspended', 'disabled')),
  -- Why it is not enabled, in a sentence, and since when.
  reason text,
  stopped_at timestamptz,
  -- Attempts in a row that failed, since when, and how the last one did.
  failures int not null default 0,
  failing_since timestamptz,
  last_error text,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create index webhook_endpoint_environment on webhook_endpoint (environment_id, id);

create table webhook_delivery (
  id bigint generated always as identity primary key,
  endpoint_id int not null,
  type smallint not null,
  -- 0 waiting, 1 delivered, 2 failed, 3 dropped.
  state smallint not null default 0,
  attempts smallint not null default 0,
  event_id uuid not null,
  -- The message or run that it is about; null: `content` says all.
  subject uuid,
  content json,
  created_at timestamptz not null,
  due_at timestamptz not null,
  log jsonb
);
create index webhook_delivery_due on webhook_delivery (endpoint_id, due_at, id) where state = 0;
create index webhook_delivery_endpoint on webhook_delivery (endpoint_id, created_at, id);

create table webhook_replay (
  id int generated always as identity primary key,
  endpoint_id int not null references webhook_endpoint (id) on delete cascade,
  only_failed boolean not null,
  until timestamptz not null,
  -- The last row that it looked at.
  at timestamptz not null,
  after_id bigint not null default 0,
  replayed int not null default 0,
  created_at timestamptz not null,
  ended_at timestamptz
);
create unique index webhook_replay_open on webhook_replay (endpoint_id) where ended_at is null;
