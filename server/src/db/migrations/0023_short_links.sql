-- Targets of the tracked links in text messages, whose URLs have to be short. Others have theirs in the URL, encrypted.

create table short_link (
  key text primary key,
  message_id uuid not null,
  url text not null
);
create index short_link_message on short_link (message_id);
