-- The share of an account, and of an environment in it, of what executors do: a weight against the others, and
-- how many assignments may hold its work at once (null: any number). They change while servers run.

alter table account
  add column weight real not null default 1 check (weight > 0),
  add column slots smallint check (slots > 0);

alter table environment
  add column weight real not null default 1 check (weight > 0),
  add column slots smallint check (slots > 0);

-- Weights per class are constants, and nothing else was kept by lane.
drop table lane;
