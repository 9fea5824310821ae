-- How many items of a large feed are in which state, of those older than a bound; see feed/README.md.
create table feed_settled (
  environment_id int not null,
  recipient_id text not null,
  channel_id uuid not null,
  -- Items with smaller ids are in feed_count.
  settled_before uuid not null,
  recounted_at timestamptz not null,
  primary key (environment_id, recipient_id, channel_id)
) with (fillfactor = 80);

create table feed_count (
  environment_id int not null,
  recipient_id text not null,
  channel_id uuid not null,
  tenant text,
  workflow_key text not null,
  version_id int not null,
  -- 1 seen, 2 read, 4 archived.
  state smallint not null,
  n int not null
) with (fillfactor = 80);
create unique index feed_count_group on feed_count
  (environment_id, recipient_id, channel_id, tenant, workflow_key, version_id, state) nulls not distinct;

-- Items that wait for their time, or did: they are counted one by one.
create index message_scheduled on message (environment_id, recipient_id, channel_id) where scheduled_at is not null;
