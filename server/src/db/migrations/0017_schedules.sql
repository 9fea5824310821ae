-- Workflows that run at times of their own, for one recipient each; see schedules/README.md.
create table schedule (
  id uuid primary key,
  environment_id int not null references environment (id),
  workflow_key text not null,
  collection text not null,
  recipient_id text not null,
  actor jsonb,
  tenant text,
  data jsonb not null,
  -- Characters of the data, so that a page of schedules can be bounded without reading it.
  data_size int not null,
  repeats jsonb not null,
  scheduled_at timestamptz,
  -- What intervals are counted from.
  starts_at timestamptz not null,
  ending_at timestamptz,
  -- The recipient's, as it was when the next occurrence was found.
  recipient_timezone text,
  last_occurrence_at timestamptz,
  next_occurrence_at timestamptz,
  -- When to look at it: the next occurrence, or at once.
  wake_at timestamptz,
  -- Of this row; whoever changes it adds one.
  version int not null default 0,
  api_key_id int,
  inserted_at timestamptz not null,
  updated_at timestamptz not null
) with (fillfactor = 80);
create index schedule_wake on schedule (wake_at, id) where wake_at is not null;
create index schedule_environment_wake on schedule (environment_id, wake_at, id) where wake_at is not null;
create index schedule_recipient on schedule (environment_id, collection, recipient_id, id);
create index schedule_workflow on schedule (environment_id, workflow_key, id);
