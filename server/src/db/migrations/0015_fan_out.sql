-- Fan-outs that have rows of fan_out_seen, which are deleted after the end.
alter table fan_out add column seen boolean not null default false;
create index fan_out_remembered on fan_out (ended_at) where seen and ended_at is not null;
