-- The ledger: what was accepted, by environment and minute, after its chunks are gone. Both tables are
-- insert-only and lie in eight lists by the day of the minute, of which the oldest is truncated; minutes
-- are counted from 1970. See engine/README.md.

-- Trigger runs of a slot that was truncated, written with the truncation.
create table ledger_minute (
  day smallint not null,
  minute int not null,
  environment_id int not null,
  slot smallint not null,
  accepted int not null
) partition by list (day);

-- Minutes that were over, executed and found balanced.
create table ledger_settled (
  day smallint not null,
  minute int not null,
  environment_id int not null,
  accepted bigint not null,
  done bigint not null,
  failed bigint not null,
  primary key (day, minute, environment_id)
) partition by list (day);

create index ledger_minute_minute on ledger_minute (minute);
create index ledger_settled_minute on ledger_settled (minute);

do $$
begin
  for day in 0..7 loop
    execute format('create table ledger_minute_%s partition of ledger_minute for values in (%s)', day, day);
    execute format('create table ledger_settled_%s partition of ledger_settled for values in (%s)', day, day);
  end loop;
end
$$;
