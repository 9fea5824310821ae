-- Runs that wait for an event, and the events that happened to them; see engine/waits/README.md.
create table event_wait (
  run_id uuid not null,
  ref text not null,
  environment_id int not null,
  collection text not null,
  recipient_id text not null,
  kind text not null,
  source text not null,
  event text not null,
  workflow_run_id uuid not null,
  lane_id int not null,
  flow smallint not null,
  -- What the run goes on with: its trigger without the data, and its state.
  trigger jsonb not null,
  state jsonb not null,
  expires_at timestamptz not null,
  primary key (run_id, ref)
);
create index event_wait_event on event_wait (environment_id, recipient_id, collection, kind, source, event);
create index event_wait_expiry on event_wait (expires_at);

create table event_signal (
  id bigint generated always as identity primary key,
  run_id uuid not null,
  ref text not null,
  detail jsonb not null
);
