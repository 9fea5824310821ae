-- Each change of an account's quarantine level, with what was seen. Insert-only, in partitions by the time
-- in the id; see ops/README.md.
create table quarantine_event (
  id uuid primary key,
  at timestamptz not null,
  account_id int not null,
  account_name text,
  from_level text not null,
  to_level text not null,
  because text not null,
  -- Decided and written down, but not done.
  shadow boolean not null,
  -- Of a level that was set by hand.
  author text,
  reason text,
  until timestamptz,
  evidence jsonb,
  line text not null
) partition by range (id);

create index quarantine_event_account on quarantine_event (account_id, id);
