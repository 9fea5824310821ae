-- In-product guides; see guides/README.md.
alter table channel drop constraint channel_type_check;
alter table channel add constraint channel_type_check
  check (type in ('email', 'in_app_feed', 'in_app_guide', 'sms', 'push', 'chat', 'http'));

insert into channel (account_id, key, name, type, provider)
select id, 'in-app-guide', 'In-app guides', 'in_app_guide', 'in_app_guide_knock'
from account
where name <> '_canary'
on conflict (account_id, key) do nothing;

-- One row a guide: what viewers see is the present content, there are no runs that keep an old one.
create table guide (
  id uuid primary key default gen_random_uuid(),
  environment_id int not null references environment (id),
  key text not null,
  -- Rises with the content; the last part of the semver.
  number int not null default 1,
  content jsonb not null,
  sha text not null,
  active boolean not null,
  active_from timestamptz,
  active_until timestamptz,
  inserted_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (environment_id, key)
);

create table guide_group (
  environment_id int not null references environment (id),
  key text not null,
  content jsonb not null,
  sha text not null,
  inserted_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (environment_id, key)
);

-- What a user did with a step of a guide, first times; the tenant is '' for none.
create table guide_engagement (
  environment_id int not null references environment (id),
  user_id text collate "C" not null,
  tenant text collate "C" not null,
  guide_key text collate "C" not null,
  step_ref text collate "C" not null,
  message_id uuid not null,
  seen_at timestamptz,
  read_at timestamptz,
  interacted_at timestamptz,
  archived_at timestamptz,
  inserted_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (environment_id, user_id, tenant, guide_key, step_ref)
);

-- When a user last dismissed a guide of a group: the begin of the throttle window.
create table guide_display (
  environment_id int not null references environment (id),
  user_id text collate "C" not null,
  group_key text collate "C" not null,
  displayed_at timestamptz not null,
  primary key (environment_id, user_id, group_key)
);
