-- Folders, documents, their revisions and grants. `version` is the etag and the number of the newest event: it rises by one
-- with every change of the row, under the row's lock.

-- The root folder has no row: `parent_id` and `folder_id` are null there.
create table folders (
  organization_id uuid not null,
  id uuid not null,
  parent_id uuid,
  display_name text not null,
  name_key text collate "C" not null,
  depth smallint not null,
  version bigint not null,
  create_time timestamptz not null,
  update_time timestamptz not null,
  constraint folders_pkey primary key (organization_id, id),
  constraint folders_parent foreign key (organization_id, parent_id) references folders,
  constraint folders_depth check (depth between 1 and 100),
  -- Also serves ListFolders, which reads one parent in the order of names.
  constraint folders_name unique nulls not distinct (organization_id, parent_id, name_key)
);
create policy tenant on folders using (organization_id = workos.organization());

-- `folder_id` has no foreign key: what lies in the trash does not keep its folder alive. For the others the statement that
-- fills a folder locks it (`for key share`) against the one that deletes it.
create table documents (
  organization_id uuid not null,
  id uuid not null,
  folder_id uuid,
  title text not null,
  title_key text collate "C" not null,
  files uuid[] not null default '{}',
  head bigint not null,
  version bigint not null,
  creator_id uuid not null,
  create_time timestamptz not null,
  update_time timestamptz not null,
  delete_time timestamptz,
  purge_time timestamptz,
  constraint documents_pkey primary key (organization_id, id),
  constraint documents_files check (cardinality(files) <= 100),
  constraint documents_trash check ((delete_time is null) = (purge_time is null))
) with (fillfactor = 90);
create policy tenant on documents using (organization_id = workos.organization());
create index documents_by_creation on documents (organization_id, create_time, id);
create index documents_by_update on documents (organization_id, update_time, id);
create index documents_by_title on documents (organization_id, title_key, id);
create index documents_by_folder on documents (organization_id, folder_id, create_time, id) where folder_id is not null;
create index documents_to_purge on documents (purge_time) where purge_time is not null;

-- `metadata` is json and not jsonb: it keeps numbers as they were written.
create table revisions (
  organization_id uuid not null,
  document_id uuid not null,
  number bigint not null,
  title text not null,
  media_type text not null,
  content text not null,
  metadata json not null,
  author_id uuid not null,
  create_time timestamptz not null,
  constraint revisions_pkey primary key (organization_id, document_id, number),
  constraint revisions_document foreign key (organization_id, document_id) references documents on delete cascade
);
create policy tenant on revisions using (organization_id = workos.organization());
alter table documents add constraint documents_head foreign key (organization_id, id, head) references revisions;

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'a revision is never changed';
end
$$;
create trigger revisions_never_change before update on revisions for each row execute function refuse_change();

-- Roles as numbers, so that they compare: 1 reader, 2 commenter, 3 writer, 4 keeper.
create table grants (
  organization_id uuid not null,
  document_id uuid not null,
  id uuid not null,
  principal text collate "C" not null,
  role smallint not null check (role between 1 and 4),
  create_time timestamptz not null,
  expire_time timestamptz,
  constraint grants_pkey primary key (organization_id, document_id, id),
  constraint grants_principal unique (organization_id, document_id, principal),
  constraint grants_document foreign key (organization_id, document_id) references documents on delete cascade
);
create policy tenant on grants using (organization_id = workos.organization());
create index grants_by_principal on grants (organization_id, principal, document_id);
create index grants_to_end on grants (expire_time) where expire_time is not null;

-- Last version of each purged document: one that is created again under the same id goes on from it, because consumers of
-- events pass over versions that they have seen.
create table purged_documents (
  organization_id uuid not null,
  id uuid not null,
  version bigint not null,
  constraint purged_documents_pkey primary key (organization_id, id)
);
create policy tenant on purged_documents using (organization_id = workos.organization());
