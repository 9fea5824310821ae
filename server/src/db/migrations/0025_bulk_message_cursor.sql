-- Bulk operations on messages go from recipient to recipient where these are named: the place in their list.
alter table bulk_operation add column after_position int not null default 0;
