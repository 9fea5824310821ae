-- What an account and an API key may send at the most: {"requests_per_s", "runs_per_s", "bytes_per_s"},
-- each one absent where there is no limit.
alter table account add column limits jsonb not null default '{}';
alter table api_key add column limits jsonb not null default '{}';
