-- Accounts, environments, keys, channels, recipients, workflows, the lane log and its results.

create function jsonb_deep_merge(base jsonb, patch jsonb) returns jsonb
language plpgsql immutable strict parallel safe as $$
begin
  if jsonb_typeof(base) <> 'object' or jsonb_typeof(patch) <> 'object' then
    return patch;
  end if;
  return base || coalesce((
    select jsonb_object_agg(
      entry.key,
      case when base ? entry.key then jsonb_deep_merge(base -> entry.key, entry.value) else entry.value end
    )
    from jsonb_each(patch) as entry
  ), '{}'::jsonb);
end
$$;

-- Who owns what ---------------------------------------------------------------------------------

create table account (
  id int generated always as identity primary key,
  public_id uuid not null unique default gen_random_uuid(),
  name text not null unique,
  created_at timestamptz not null default now()
);

create table environment (
  id int generated always as identity primary key,
  public_id uuid not null unique default gen_random_uuid(),
  account_id int not null references account (id),
  slug text not null,
  name text not null,
  position smallint not null,
  settings jsonb not null default '{}',
  created_at timestamptz not null default now(),
  unique (account_id, slug)
);

-- A key's text is never stored: sha-256 of it, and its last four characters to recognise it by.
create table api_key (
  id int generated always as identity primary key,
  environment_id int not null references environment (id),
  kind text not null check (kind in ('secret', 'public')),
  hash bytea not null unique,
  hint text not null,
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);

create table service_token (
  id int generated always as identity primary key,
  account_id int not null references account (id),
  name text not null,
  hash bytea not null unique,
  hint text not null,
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);

create table operator_token (
  id int generated always as identity primary key,
  name text not null,
  hash bytea not null unique,
  hint text not null,
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);

-- The public half of the key pair with which an account signs its users' tokens.
create table signing_key (
  id int generated always as identity primary key,
  environment_id int not null references environment (id),
  public_key_pem text not null,
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);

create index signing_key_environment on signing_key (environment_id);

-- A channel belongs to the account; its id is the same in every environment.
create table channel (
  id uuid primary key default gen_random_uuid(),
  account_id int not null references account (id),
  key text not null,
  name text not null,
  type text not null check (type in ('email', 'in_app_feed', 'sms', 'push', 'chat', 'http')),
  provider text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (account_id, key)
);

-- Recipients --------------------------------------------------------------------------------------

-- Users are the collection $users, tenants the collection $tenants.
create table recipient (
  environment_id int not null references environment (id),
  collection text not null,
  id text not null,
  properties jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (environment_id, collection, id)
) with (fillfactor = 90);

create table preference_set (
  environment_id int not null references environment (id),
  collection text not null,
  recipient_id text not null,
  id text not null,
  preferences jsonb not null,
  updated_at timestamptz not null default now(),
  primary key (environment_id, collection, recipient_id, id)
);

create table channel_data (
  environment_id int not null references environment (id),
  collection text not null,
  recipient_id text not null,
  channel_id uuid not null references channel (id),
  data jsonb not null,
  updated_at timestamptz not null default now(),
  primary key (environment_id, collection, recipient_id, channel_id)
);

-- Workflows ---------------------------------------------------------------------------------------

-- A version never changes; publishing moves the pointer.
create table workflow_version (
  id int generated always as identity primary key,
  environment_id int not null references environment (id),
  key text not null,
  number int not null,
  content jsonb not null,
  sha text not null,
  created_at timestamptz not null default now(),
  unique (environment_id, key, number)
);

create table workflow (
  environment_id int not null references environment (id),
  key text not null,
  active boolean not null default true,
  published_version_id int not null references workflow_version (id),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (environment_id, key)
);

-- The lane log ------------------------------------------------------------------------------------

-- Lane id = environment id * 4 + class (0 interactive, 1 normal, 2 bulk).
create table lane (
  id int primary key,
  environment_id int not null references environment (id),
  weight real not null default 1 check (weight > 0),
  epoch int not null default 0
);

-- The one process group that schedules this database.
create table engine_owner (
  only_row boolean primary key default true check (only_row),
  fence bigint not null default 0,
  host text,
  process_id int
);
insert into engine_owner default values;

-- What truncation would forget: the highest sequence that a stream has used.
create table log_stream (
  stream smallint primary key,
  high_sequence bigint not null default 0
);

-- Slots 0-15 are the ring for work that is due at once, 16-41 the ring of hours for timers due
-- within a day, 42 holds timers further away. See engine/README.md.
create table chunk (
  slot smallint not null,
  stream smallint not null,
  sequence bigint not null,
  lane_id int not null,
  epoch int not null,
  kind smallint not null,
  run_count smallint not null,
  slice_count smallint not null,
  accepted_at timestamptz not null,
  due_at timestamptz,
  body text not null
) partition by list (slot);

create table receipt (
  slot smallint not null,
  stream smallint not null,
  sequence bigint not null,
  slice smallint not null,
  done smallint not null,
  failed smallint not null
) partition by list (slot);

do $$
begin
  for slot in 0..42 loop
    execute format('create table chunk_%s partition of chunk for values in (%s)', slot, slot);
    execute format('alter table chunk_%s alter column body set storage external', slot);
    execute format('alter table chunk_%s add primary key (stream, sequence)', slot);
    execute format('create table receipt_%s partition of receipt for values in (%s)', slot, slot);
    execute format('alter table receipt_%s add primary key (stream, sequence, slice)', slot);
    if slot >= 16 then
      execute format('create index chunk_%s_due on chunk_%s (due_at)', slot, slot);
    end if;
  end loop;
end
$$;

-- A trigger's idempotency key, remembered for a day: three lists by day, the oldest truncated.
create table idempotency (
  day smallint not null,
  environment_id int not null,
  key text not null,
  request_hash bytea not null,
  workflow_run_id uuid not null,
  request_id text not null,
  created_at timestamptz not null,
  primary key (day, environment_id, key)
) partition by list (day);
create table idempotency_0 partition of idempotency for values in (0);
create table idempotency_1 partition of idempotency for values in (1);
create table idempotency_2 partition of idempotency for values in (2);

create table cancellation (
  environment_id int not null references environment (id),
  workflow_key text not null,
  cancellation_key text not null,
  collection text,
  recipient_id text,
  cancelled_at timestamptz not null
);
create index cancellation_key on cancellation (environment_id, workflow_key, cancellation_key);

-- Results: insert-only, partitioned by the time in their ids ----------------------------------------

-- One row a trigger.
create table workflow_run (
  id uuid primary key,
  environment_id int not null,
  workflow_key text not null,
  version_id int not null,
  actor jsonb,
  tenant text,
  data jsonb not null,
  -- Characters of data as JSON, so that a list need not read what is too large to show.
  data_size int,
  cancellation_key text,
  accepted_at timestamptz not null
) partition by range (id);

-- One row a recipient of a trigger, as its first execution left it.
-- status: 0 queued, 1 processing, 2 paused, 3 completed, 4 cancelled
create table recipient_run (
  id uuid primary key,
  environment_id int not null,
  workflow_run_id uuid not null,
  collection text not null,
  recipient_id text not null,
  status smallint not null,
  error_count smallint not null,
  steps json not null,
  executed_at timestamptz not null
) partition by range (id);

-- What a run did after each pause; the last segment's status is the run's.
create table recipient_run_segment (
  recipient_run_id uuid not null,
  segment smallint not null,
  status smallint not null,
  error_count smallint not null,
  steps json not null,
  executed_at timestamptz not null,
  primary key (recipient_run_id, segment)
) partition by range (recipient_run_id);

-- One row a recipient and channel step. The delivery status is the last delivery's, or this one
-- where there is none. status: 0 queued, 1 sent, 2 delivered, 3 delivery_attempted, 4 undelivered,
-- 5 bounced, 6 not_sent
create table message (
  id uuid primary key,
  environment_id int not null,
  channel_id uuid not null,
  channel_type smallint not null,
  collection text not null,
  recipient_id text not null,
  tenant text,
  workflow_run_id uuid not null,
  recipient_run_id uuid not null,
  workflow_key text not null,
  version_id int not null,
  step_ref text not null,
  status smallint not null,
  content json not null,
  -- What the trigger gave for this recipient alone; merged over workflow_run.data.
  trigger_data jsonb,
  inserted_at timestamptz not null,
  updated_at timestamptz,
  seen_at timestamptz,
  read_at timestamptz,
  interacted_at timestamptz,
  archived_at timestamptz,
  link_clicked_at timestamptz
) partition by range (id);
-- The mail viewer's list; feed messages have no entry.
create index message_email on message (id) where channel_type = 1;
create index message_recipient on message (environment_id, recipient_id, channel_id, id);

create table message_event (
  id uuid primary key,
  message_id uuid not null,
  environment_id int not null,
  type smallint not null,
  data json,
  inserted_at timestamptz not null
) partition by range (id);
create index message_event_message on message_event (message_id);

-- An attempt to hand a message to its provider.
create table delivery (
  message_id uuid not null,
  attempt smallint not null,
  status smallint not null,
  provider text not null,
  detail json not null,
  attempted_at timestamptz not null,
  primary key (message_id, attempt)
) partition by range (message_id);
