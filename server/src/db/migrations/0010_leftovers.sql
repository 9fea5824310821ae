-- What is deleted or forgotten at once by its name, and of which rows are left that go in small batches; see
-- broadcasts/README.md.
create table leftover (
  kind text not null check (kind in ('audience', 'broadcast')),
  id int not null,
  primary key (kind, id)
);

-- Members outlive their audience for as long as its leftover says; whoever adds some locks the audience.
alter table audience_member drop constraint audience_member_audience_id_fkey;

create index broadcast_ended on broadcast (changed_at) where state in ('cancelled', 'finished');
