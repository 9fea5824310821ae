-- Orders of operators about queued work: hold, slow, discard; see engine/README.md.

-- The number of orders given and ended. What was evaluated under an older number is not written: every
-- statement that writes results compares it. Orders are given under this table's exclusive lock.
create table governance (
  only_row boolean primary key default true check (only_row),
  version bigint not null default 1
);
insert into governance default values;

create table work_order (
  id int generated always as identity primary key,
  verb text not null check (verb in ('hold', 'slow', 'discard')),
  -- What it is about; null: any. All of it are attributes of a trigger.
  account_id int references account (id),
  environment_id int references environment (id),
  api_key_id int,
  workflow_key text,
  tenant text,
  accepted_from timestamptz,
  accepted_before timestamptz,
  author text not null,
  reason text not null,
  runs_per_second real check (runs_per_second > 0),
  created_at timestamptz not null,
  -- A hold ends by itself then; what was discarded is kept until then.
  expires_at timestamptz,
  ended_at timestamptz,
  ended_by text,
  end_reason text,
  -- A discard's data is being dropped, or was.
  dropped_at timestamptz,
  -- Nothing of what it set aside is left.
  cleared_at timestamptz,
  check (coalesce(account_id, environment_id, api_key_id) is not null)
);

-- Who did what to whose work, and why. Never changed.
create table audit_log (
  id bigint generated always as identity primary key,
  at timestamptz not null,
  author text not null,
  action text not null,
  order_id int not null references work_order (id),
  scope jsonb not null,
  reason text not null,
  -- What it concerned, as far as it was known: runs, deliveries.
  concerned jsonb not null
);

-- Accepted runs whose data was dropped after a discard.
alter table ledger_minute add column discarded int not null default 0;
alter table ledger_settled add column discarded bigint not null default 0;

do $$
begin
  for slot in 43..50 loop
    execute format('drop index chunk_%s_order', slot);
    execute format('create index chunk_%s_order on chunk_%s (order_id, accepted_at, stream, sequence)', slot, slot);
  end loop;
end
$$;
