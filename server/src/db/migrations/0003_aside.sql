-- Work that an operator's order set aside lies in slots 43-50 (43 + order id modulo 8); see engine/README.md.
-- What was queued is void by orders, which name a time, so lanes and chunks need no epoch.

alter table lane drop column epoch;

alter table chunk
  drop column epoch,
  -- Whose turn it is among the work of a lane: one number for each tenant, more or less; 0 is nobody's.
  add column flow smallint not null default 0,
  -- The order that set it aside, and the chunk whose run ids its runs have.
  add column order_id int,
  add column source_stream smallint,
  add column source_sequence bigint;

-- Which key brought it, so that what a leaked key did can be found.
alter table workflow_run add column api_key_id int;

do $$
begin
  for slot in 43..50 loop
    execute format('create table chunk_%s partition of chunk for values in (%s)', slot, slot);
    execute format('alter table chunk_%s alter column body set storage external', slot);
    execute format('alter table chunk_%s add primary key (stream, sequence)', slot);
    execute format('create index chunk_%s_order on chunk_%s (order_id)', slot, slot);
    execute format('create index chunk_%s_source on chunk_%s (source_stream, source_sequence)', slot, slot);
    execute format('create table receipt_%s partition of receipt for values in (%s)', slot, slot);
    execute format('alter table receipt_%s add primary key (stream, sequence, slice)', slot);
  end loop;
end
$$;
