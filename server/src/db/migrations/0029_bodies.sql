-- What messages say, on its way to an object store; see bodies/README.md. Empty unless one is configured.
create table body_pack (
  slot smallint not null,
  environment_id integer not null,
  -- That of its first message.
  id uuid not null,
  size integer not null,
  bytes bytea not null
) partition by list (slot);

do $$
begin
  for slot in 0..31 loop
    execute format('create table body_pack_%s partition of body_pack for values in (%s)', slot, slot);
    -- Not compressed: ranges are read. Never vacuumed: what is given back is truncated.
    execute format('alter table body_pack_%s alter column bytes set storage external', slot);
    execute format('alter table body_pack_%s set (autovacuum_enabled = false, toast.autovacuum_enabled = false)', slot);
    execute format('alter table body_pack_%s add primary key (environment_id, id)', slot);
  end loop;
end
$$;

-- Where the store has a pack. Partitions by month.
create table body_object (
  pack_id uuid not null,
  environment_id integer not null,
  object_id uuid not null,
  start_byte integer not null,
  constraint body_object_pkey primary key (pack_id)
) partition by range (pack_id);

-- Objects that may be in the store without body_object knowing.
create table body_upload (
  object_id uuid not null,
  environment_id integer not null,
  started_at timestamptz not null,
  constraint body_upload_pkey primary key (object_id)
);

-- Ranges of deleted messages that are to be blanked wherever they are.
create table body_erasure (
  pack_id uuid not null,
  start_byte integer not null,
  size integer not null,
  environment_id integer not null,
  recorded_at timestamptz not null,
  constraint body_erasure_pkey primary key (pack_id, start_byte)
);
