-- What runs of one recipient share: batches, throttles, workflows that run once. See engine/windows/README.md.

create sequence batch_window_number;

-- The window that is open for a key. closes_at is null only inside the transaction that makes the row.
create table batch_window (
  environment_id int not null,
  key uuid not null,
  id bigint not null default nextval('batch_window_number'),
  opened_at timestamptz,
  closes_at timestamptz,
  joined int not null default 0,
  primary key (environment_id, key)
) with (fillfactor = 50);
create index batch_window_id on batch_window (id);
create index batch_window_closes on batch_window (closes_at);

-- A run in a window. data: of a run that has other data than its trigger.
create table batch_activity (
  window_id bigint not null,
  run_id uuid not null,
  workflow_run_id uuid not null,
  actor text,
  accepted_at timestamptz not null,
  cancellation_key text,
  data jsonb,
  primary key (window_id, run_id)
) partition by range (run_id);

-- The parked run of a window that may close before its time; whoever deletes it wakes the run.
create table batch_carrier (
  window_id bigint primary key,
  lane_id int not null,
  flow smallint not null,
  run json not null
);

create table throttle_window (
  environment_id int not null,
  key uuid not null,
  closes_at timestamptz not null,
  taken bigint not null,
  primary key (environment_id, key)
) with (fillfactor = 70);
create index throttle_window_closes on throttle_window (closes_at);

create table once_run (
  environment_id int not null,
  key uuid not null,
  run_id uuid not null,
  primary key (environment_id, key)
);
