-- Requests to the runtime API; see api-logs/README.md. Partitions by day.
create table api_log (
  -- The request's own id: its first 48 bits are its time in ms.
  id uuid not null,
  environment_id integer not null,
  api_key_id integer not null,
  method text not null,
  -- As it is documented, /v1/users/:user_id, and as it was asked for, with the query.
  route text not null,
  path text not null,
  status smallint not null,
  duration_us integer not null,
  -- JSON; null: there was none, or none that could be kept.
  request text,
  response text,
  constraint api_log_pkey primary key (id)
) partition by range (id);

create index api_log_environment_id_id on api_log (environment_id, id);
create index api_log_failed on api_log (environment_id, id) where status >= 400;

-- How many requests of a minute were not recorded.
create table api_log_skipped (
  environment_id integer not null,
  minute timestamptz not null,
  requests integer not null,
  constraint api_log_skipped_pkey primary key (environment_id, minute)
);
