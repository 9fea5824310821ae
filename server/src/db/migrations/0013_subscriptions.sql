-- Who gets what is sent to an object; and how far a trigger for objects has come on its way to them. See
-- engine/README.md, "Fan-out".

-- Read in the order of the key, page by page, so it must be the same everywhere: bytes.
create table subscription (
  environment_id int not null references environment (id),
  object_collection text collate "C" not null,
  object_id text collate "C" not null,
  recipient_collection text collate "C" not null,
  recipient_id text collate "C" not null,
  properties jsonb,
  inserted_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (environment_id, object_collection, object_id, recipient_collection, recipient_id)
);
create index subscription_recipient on subscription (environment_id, recipient_collection, recipient_id);

-- A trigger whose subscribers are not all known by its first page. Deleted 30 days after the end.
create table fan_out (
  workflow_run_id uuid primary key,
  environment_id int not null,
  recipients bigint not null,
  updated_at timestamptz not null,
  ended_at timestamptz
);

-- Whom such a trigger has reached, where it can meet somebody twice. Deleted after its end.
create table fan_out_seen (
  workflow_run_id uuid not null,
  collection text collate "C" not null,
  recipient_id text collate "C" not null,
  -- An object that subscribes to one of the trigger's: its own subscribers follow.
  follow boolean not null,
  primary key (workflow_run_id, collection, recipient_id)
);
create index fan_out_seen_follow on fan_out_seen (workflow_run_id, collection, recipient_id) where follow;
