-- Requests that change many things; see operations/README.md.
create table bulk_operation (
  id uuid primary key,
  environment_id int not null references environment (id),
  name text not null,
  -- What its items share, or what its messages are found by.
  input jsonb not null,
  total int not null,
  -- Items that are done: where the next turn begins.
  processed int not null default 0,
  error_count int not null default 0,
  -- Of messages: the last that was changed.
  after_id uuid,
  inserted_at timestamptz not null,
  updated_at timestamptz not null,
  started_at timestamptz,
  completed_at timestamptz,
  failed_at timestamptz
) with (fillfactor = 80);
create index bulk_operation_open on bulk_operation (environment_id)
  where completed_at is null and failed_at is null;
create index bulk_operation_over on bulk_operation ((coalesce(completed_at, failed_at)))
  where completed_at is not null or failed_at is not null;

-- The items of an operation, a page a row: a JSON list as it was sent. Deleted when it is over.
create table bulk_operation_page (
  operation_id uuid not null references bulk_operation (id) on delete cascade,
  page int not null,
  items text not null,
  primary key (operation_id, page)
);

-- Items that were refused.
create table bulk_operation_error (
  operation_id uuid not null references bulk_operation (id) on delete cascade,
  -- Place of the item in the request.
  position int not null,
  collection text,
  item_id text not null,
  primary key (operation_id, position)
);
