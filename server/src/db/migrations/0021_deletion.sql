-- Recipients that are gone, and how far their deletion is; see deletion/README.md.
create table deletion (
  id bigint generated always as identity primary key,
  environment_id int not null references environment (id),
  collection text not null,
  recipient_id text not null,
  -- By our clock, and by the database's.
  deleted_at timestamptz not null,
  recorded_at timestamptz not null default now(),
  -- Who gets the messages.
  merged_into text,
  -- When to look next; null when it is over.
  due_at timestamptz
) with (fillfactor = 80);
create index deletion_recipient on deletion (environment_id, collection, recipient_id, deleted_at);
create index deletion_due on deletion (due_at) where due_at is not null;
create index deletion_open on deletion (environment_id, due_at, id) where due_at is not null;
create index deletion_merge on deletion (environment_id, merged_into)
  where merged_into is not null and due_at is not null;

create index once_run_run on once_run (run_id);
