-- How a channel reaches its provider's API; see control/channel-provider.ts.
alter table channel_setting
  add column provider_settings jsonb not null default '{}',
  -- The password of a bot, sealed.
  add column provider_secret text;
