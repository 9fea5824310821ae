-- Messages that wait for their send window, sandboxed channels, channels for every type of message.

alter table message
  add column scheduled_at timestamptz;

-- The viewer shows messages of every type by their ids.
drop index message_email;

create table channel_setting (
  channel_id uuid not null references channel (id),
  environment_id int not null references environment (id),
  is_sandbox boolean not null default false,
  -- A group of conditions that hold for every step that uses the channel.
  conditions jsonb,
  link_tracking boolean not null default false,
  open_tracking boolean not null default false,
  updated_at timestamptz not null default now(),
  primary key (channel_id, environment_id)
);

insert into channel (account_id, key, name, type, provider)
select account.id, given.key, given.name, given.type, given.provider
from account
cross join (
  values
    ('sms', 'SMS', 'sms', 'sms_viewer'),
    ('push', 'Push', 'push', 'push_viewer'),
    ('chat', 'Chat', 'chat', 'chat_viewer')
) as given (key, name, type, provider)
on conflict (account_id, key) do nothing;
