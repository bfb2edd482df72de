-- What search keeps of its own: which resources it has heard of, which of them it could not index, and which index is live.
-- The index itself is derived: when it is lost it is built again from the owners, by the names in `entries`.

-- Every resource that was heard of, deleted ones too. `version` is `epoch << 48 | version` of the newest event.
create table entries (
  organization_id uuid not null,
  kind smallint not null,
  id uuid not null,
  version bigint not null,
  constraint entries_pkey primary key (organization_id, kind, id),
  constraint entries_kind check (kind in (1, 2))
);
create policy tenant on entries using (organization_id = workos.organization());

-- Resources that could not be indexed; a row goes when a later version could be.
create table rejections (
  organization_id uuid not null,
  kind smallint not null,
  id uuid not null,
  version bigint not null,
  reason text not null,
  create_time timestamptz not null,
  constraint rejections_pkey primary key (organization_id, kind, id)
);
create policy tenant on rejections using (organization_id = workos.organization());

-- Generations of the index, over all organizations. `mapping` is the hash of fields and analysis that it was made with.
create table generations (
  number integer not null,
  mapping text not null,
  state text not null,
  create_time timestamptz not null,
  live_time timestamptz,
  constraint generations_pkey primary key (number),
  constraint generations_state check (state in ('building', 'live', 'retired')),
  constraint generations_live check ((state = 'building') = (live_time is null))
);
create policy platform on generations using (false);
