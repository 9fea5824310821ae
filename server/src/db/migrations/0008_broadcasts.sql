-- Audiences and broadcasts; see broadcasts/README.md. Pages and parts are only ever inserted.

create table audience (
  id int primary key generated always as identity,
  environment_id int not null references environment (id),
  key text not null,
  name text,
  kind text not null check (kind in ('static', 'all_users', 'condition')),
  -- A group of conditions over users, of an audience of the kind condition.
  conditions jsonb,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (environment_id, key)
);

create table audience_member (
  audience_id int not null references audience (id) on delete cascade,
  user_id text not null,
  -- '' for none.
  tenant text not null default '',
  added_at timestamptz not null default now(),
  primary key (audience_id, user_id, tenant)
);

create table broadcast (
  id int primary key generated always as identity,
  public_id uuid not null unique,
  environment_id int not null references environment (id),
  -- The caller's own name for it.
  key text,
  workflow_key text not null,
  version_id int not null references workflow_version (id),
  -- Whom it goes to, as it was when it was created: {kind, ...}.
  source jsonb not null,
  actor jsonb,
  tenant text,
  data jsonb not null,
  settings jsonb not null,
  api_key_id int,
  state text not null check (
    state in ('freezing', 'canary', 'running', 'paused', 'cancelling', 'cancelled', 'finished')
  ),
  -- Why it is paused, when no person paused it.
  reason text,
  -- Recipients per second; null: as fast as it goes.
  rate int check (rate > 0),
  -- Null until it is frozen: the default.
  canary_size int,
  canary_failed_share real not null,
  canary_state text not null check (canary_state in ('open', 'passed', 'failed')),
  -- Whether it goes on by itself when it is frozen.
  starts boolean not null,
  -- Recipients; null until it is frozen.
  total int,
  created_at timestamptz not null,
  changed_at timestamptz not null,
  unique (environment_id, key)
);

create index broadcast_environment on broadcast (environment_id, public_id);
create index broadcast_unfinished on broadcast (id) where state not in ('cancelled', 'finished');

create table broadcast_page (
  broadcast_id int not null,
  page int not null,
  size smallint not null,
  -- User ids.
  recipients text[] not null,
  -- Their tenants, where members have them.
  tenants text[],
  -- Where its source is read on.
  position text not null,
  primary key (broadcast_id, page)
);

-- Recipients `first` to `first + size - 1` of a page, and the chunk that they are in.
create table broadcast_part (
  broadcast_id int not null,
  page int not null,
  first smallint not null,
  size smallint not null,
  slot smallint not null,
  stream smallint not null,
  sequence bigint not null,
  accepted_at timestamptz not null,
  primary key (broadcast_id, page, first)
);

-- The rest of its recipients was discarded.
create table broadcast_part_done (
  broadcast_id int not null,
  page int not null,
  first smallint not null,
  done smallint not null,
  failed smallint not null,
  done_at timestamptz not null,
  primary key (broadcast_id, page, first)
);
