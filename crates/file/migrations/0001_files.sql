-- Uploads in progress, files, and the documents that refer to them. `version` of a file is its etag and the number of its
-- newest event. Bytes lie outside (src/content); a row never says more than what is durable there.

create table uploads (
  organization_id uuid not null,
  id uuid not null,
  owner_id uuid not null,
  length_bytes bigint not null check (length_bytes >= 0),
  -- Never beyond what was made durable.
  offset_bytes bigint not null default 0 check (offset_bytes between 0 and length_bytes),
  raw_metadata text not null,
  display_name text not null,
  media_type text not null,
  complete boolean not null default false,
  -- Process that writes or wrote last, and until when nobody else may.
  holder uuid,
  lease_until timestamptz not null default '-infinity',
  -- Rises whenever another process takes over; only the holder of the newest fence moves the offset.
  fence bigint not null default 0,
  create_time timestamptz not null,
  expire_time timestamptz not null,
  constraint uploads_pkey primary key (organization_id, id)
);
create policy tenant on uploads using (organization_id = workos.organization());
create index uploads_to_expire on uploads (expire_time) where not complete;

-- No two writers ever share a segment: each fence writes its own, from `start_bytes` on.
create table segments (
  organization_id uuid not null,
  upload_id uuid not null,
  fence bigint not null,
  start_bytes bigint not null,
  constraint segments_pkey primary key (organization_id, upload_id, fence),
  constraint segments_upload foreign key (organization_id, upload_id) references uploads on delete cascade
);
create policy tenant on segments using (organization_id = workos.organization());

create table files (
  organization_id uuid not null,
  id uuid not null,
  owner_id uuid not null,
  display_name text not null,
  media_type text not null,
  size_bytes bigint not null,
  sha256 bytea not null check (length(sha256) = 32),
  version bigint not null,
  create_time timestamptz not null,
  update_time timestamptz not null,
  delete_time timestamptz,
  constraint files_pkey primary key (organization_id, id)
);
create policy tenant on files using (organization_id = workos.organization());
create index files_by_creation on files (organization_id, create_time, id) where delete_time is null;
create index files_by_owner on files (organization_id, owner_id, create_time, id) where delete_time is null;
create index files_to_release on files (delete_time) where delete_time is not null;

create table file_references (
  organization_id uuid not null,
  document_id uuid not null,
  file_id uuid not null,
  constraint file_references_pkey primary key (organization_id, document_id, file_id)
);
create policy tenant on file_references using (organization_id = workos.organization());
create index file_references_by_file on file_references (organization_id, file_id);

-- Up to which version of a document its references were taken.
create table document_guards (
  organization_id uuid not null, aggregate_id uuid not null,
  epoch int not null, version bigint not null, deleted boolean not null,
  primary key (organization_id, aggregate_id)
);
create policy tenant on document_guards using (organization_id = workos.organization());
