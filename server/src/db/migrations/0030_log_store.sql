-- What was written and is not in the log store yet; see log-store/README.md. Empty while no store is configured: the
-- triggers that fill it are made then.
create sequence log_ring_number cache 32;

create table log_ring (
  -- floor(seconds / 30) mod 16
  slot smallint not null,
  xid xid8 not null,
  -- Rows of a transaction are in its order.
  number bigint not null,
  at timestamptz not null,
  -- 1 message_event, 2 recipient_run, 3 recipient_run_segment, 4 delivery, 5 api_log.
  source smallint not null,
  -- Null of tables that have none.
  environment_id integer,
  rows integer not null,
  -- Keys; `numbers` is the second column of those that have two.
  ids uuid[] not null,
  numbers smallint[]
) partition by list (slot);

do $$
begin
  for slot in 0..15 loop
    execute format('create table log_ring_%s partition of log_ring for values in (%s)', slot, slot);
    -- Ids do not compress; up to 500 of them stay in the row.
    execute format('alter table log_ring_%s alter column ids set storage external', slot);
    execute format('alter table log_ring_%s set (toast_tuple_target = 8160)', slot);
    execute format('create index log_ring_%s_xid on log_ring_%s (xid, number)', slot, slot);
  end loop;
end
$$;

create function log_ring_slot() returns smallint language sql volatile as $$
  select (floor(extract(epoch from clock_timestamp()) / 30)::bigint % 16)::smallint
$$;

create function log_capture_message_event() returns trigger language plpgsql as $$
begin
  insert into log_ring (slot, xid, number, at, source, environment_id, rows, ids)
  select log_ring_slot(), pg_current_xact_id(), nextval('log_ring_number'), clock_timestamp(), 1,
         environment_id, count(*), array_agg(id)
  from written
  group by environment_id;
  return null;
end
$$;

create function log_capture_recipient_run() returns trigger language plpgsql as $$
begin
  insert into log_ring (slot, xid, number, at, source, environment_id, rows, ids)
  select log_ring_slot(), pg_current_xact_id(), nextval('log_ring_number'), clock_timestamp(), 2,
         environment_id, count(*), array_agg(id)
  from written
  group by environment_id;
  return null;
end
$$;

create function log_capture_recipient_run_segment() returns trigger language plpgsql as $$
begin
  insert into log_ring (slot, xid, number, at, source, rows, ids, numbers)
  select log_ring_slot(), pg_current_xact_id(), nextval('log_ring_number'), clock_timestamp(), 3,
         count(*), array_agg(recipient_run_id), array_agg(segment)
  from written
  having count(*) > 0;
  return null;
end
$$;

create function log_capture_delivery() returns trigger language plpgsql as $$
begin
  insert into log_ring (slot, xid, number, at, source, rows, ids, numbers)
  select log_ring_slot(), pg_current_xact_id(), nextval('log_ring_number'), clock_timestamp(), 4,
         count(*), array_agg(message_id), array_agg(attempt)
  from written
  having count(*) > 0;
  return null;
end
$$;

create function log_capture_api_log() returns trigger language plpgsql as $$
begin
  insert into log_ring (slot, xid, number, at, source, environment_id, rows, ids)
  select log_ring_slot(), pg_current_xact_id(), nextval('log_ring_number'), clock_timestamp(), 5,
         environment_id, count(*), array_agg(id)
  from written
  group by environment_id;
  return null;
end
$$;

-- How far the store is. One row; none: there never was a store.
create table log_shipper (
  only_row boolean primary key default true check (only_row),
  -- Which cluster of PostgreSQL the snapshots are of, and which store has the rows.
  cluster text not null,
  store text,
  -- Everything that is visible to it is shipped.
  shipped pg_snapshot not null,
  shipped_at timestamptz not null,
  -- The shipment under way, and where its last part ended.
  target pg_snapshot,
  target_at timestamptz,
  after_xid xid8,
  after_number bigint,
  -- Deletions up to this one are passed on.
  forgotten bigint not null,
  -- Each change counts, so that of two shippers one learns of the other.
  version bigint not null default 0
) with (fillfactor = 20);

-- Times of writing of which something may be missing.
create table log_gap (
  id bigint generated always as identity primary key,
  -- Null: from the beginning.
  from_at timestamptz,
  until_at timestamptz not null,
  -- Where the walk is: the table, and the key of the last row of its last page.
  source smallint not null default 1,
  after_id uuid,
  after_number smallint
);

-- What an account has to wait with while others go first.
create table log_aside (
  id bigint generated always as identity primary key,
  environment_id integer not null,
  at timestamptz not null,
  source smallint not null,
  rows integer not null,
  ids uuid[] not null,
  numbers smallint[]
);

create index log_aside_environment on log_aside (environment_id, id);
