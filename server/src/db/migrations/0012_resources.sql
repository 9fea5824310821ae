-- What workflows share; see control/README.md.
create table resource (
  environment_id int not null references environment (id),
  kind text not null check (kind in ('layout', 'partial', 'translation')),
  key text not null,
  content jsonb not null,
  sha text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (environment_id, kind, key)
);

create table channel_group (
  account_id int not null references account (id),
  key text not null,
  content jsonb not null,
  sha text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (account_id, key)
);

-- Values of secret variables are sealed.
create table variable (
  account_id int not null references account (id),
  key text not null,
  type text not null check (type in ('public', 'secret')),
  description text,
  value text,
  environment_values jsonb not null default '{}',
  inserted_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (account_id, key)
);

-- Rises when what runs of the environment share has changed.
alter table environment add column revision bigint not null default 1;

alter table account add column branding jsonb not null default '{}';
