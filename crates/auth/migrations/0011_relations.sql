-- Who holds what on which resource: the union over all services for platform types, the truth for customers' own.
--
-- Resources are named below their organization: `documents/{id}`, `objectTypes/{type}/objects/{id}`. Subjects are 17 bytes: 1 user,
-- 2 group, 3 all members, before the id. Customers' relations change under the lock of the organization's row in `relation_heads`.

create table relation_heads (
  organization_id uuid primary key,
  -- Counts changes of the organization's relations; what consistency tokens name.
  revision bigint not null
);
create policy tenant on relation_heads using (organization_id = workos.organization());

create table relation_objects (
  organization_id uuid not null,
  object text collate "C" not null check (length(object) between 3 and 400),
  -- Where its owner stood when it told; zero for customers' types. Kept after the end, so that what comes late changes nothing.
  epoch integer not null default 0,
  version bigint not null default 0,
  -- Of customers' types: the longest chain of resources below it, or more; raised when something is hung there, never lowered.
  height integer not null default 0,
  constraint relation_objects_pkey primary key (organization_id, object)
);
create policy tenant on relation_objects using (organization_id = workos.organization());

create table relations (
  organization_id uuid not null,
  object text collate "C" not null,
  subject bytea not null check (length(subject) = 17),
  -- 1 viewer, 2 commenter, 3 editor, 4 owner.
  relation smallint not null check (relation between 1 and 4),
  expire_time timestamptz,
  constraint relations_pkey primary key (organization_id, object, subject, relation)
);
create policy tenant on relations using (organization_id = workos.organization());
-- Serves ListResources and ReadRelations of one subject; holds all columns, so that the table is not read.
create index relations_by_subject on relations (organization_id, subject, object, relation) include (expire_time);
create index relations_ended on relations (expire_time) where expire_time is not null;

create table relation_parents (
  organization_id uuid not null,
  object text collate "C" not null,
  parent text collate "C" not null,
  -- The strongest relation that is inherited.
  most smallint not null check (most between 1 and 4),
  constraint relation_parents_pkey primary key (organization_id, object, parent)
);
create policy tenant on relation_parents using (organization_id = workos.organization());
create index relation_children on relation_parents (organization_id, parent, object) include (most);

-- ListSubjects walks members by role in the order of their ids.
create index memberships_by_role on memberships (organization_id, role, user_id) where role is not null and state = 1;
