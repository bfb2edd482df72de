-- Roles that organizations make, and groups of members. Both change under the lock of the organization's row.

create table custom_roles (
  organization_id uuid not null references organizations,
  role_id uuid not null,
  display_name text not null,
  -- As the contract writes them; one that a later release took out of the contract allows nothing.
  permissions text[] not null check (cardinality(permissions) <= 200),
  version bigint not null default 1,
  create_time timestamptz not null,
  update_time timestamptz not null,
  constraint custom_roles_pkey primary key (organization_id, role_id)
);
create policy tenant on custom_roles using (organization_id = workos.organization());

-- Counts the transactions that changed custom roles, of all organizations: verifiers ask for the roles anew when it moved. Counted at the
-- commit, so that who reads a number has all changes up to it, and nobody waits for another's transaction longer than its commit takes.
create table custom_role_revision (
  singleton boolean primary key default true check (singleton),
  value bigint not null default 0
);
insert into custom_role_revision default values;
create policy system_only on custom_role_revision using (false);
create function custom_role_changed() returns trigger
language plpgsql security definer set search_path from current
as $$
begin
  update custom_role_revision set value = value + 1;
  return null;
end
$$;
create constraint trigger custom_role_changed after insert or update or delete on custom_roles
  deferrable initially deferred for each row execute function custom_role_changed();

-- No foreign key for elements of an array: a role is deleted only under the lock under which it is given.
alter table memberships add column custom_roles uuid[] not null default '{}'
  constraint memberships_custom_roles check (cardinality(custom_roles) <= 6);
-- By user, in the order in which ListSubjects shows them.
create index memberships_with_custom_roles on memberships (organization_id, user_id) where custom_roles <> '{}';

create table groups (
  organization_id uuid not null references organizations,
  group_id uuid not null,
  display_name text not null,
  version bigint not null default 1,
  create_time timestamptz not null,
  update_time timestamptz not null,
  constraint groups_pkey primary key (organization_id, group_id)
);
create policy tenant on groups using (organization_id = workos.organization());

-- Ids of groups that ended. Clients choose ids; one that is taken again would hold what was shared with the group before.
create table ended_groups (
  organization_id uuid not null references organizations,
  group_id uuid not null,
  constraint ended_groups_pkey primary key (organization_id, group_id)
);
create policy tenant on ended_groups using (organization_id = workos.organization());

create table group_members (
  organization_id uuid not null,
  group_id uuid not null,
  -- A byte for the kind (1 user, 2 group) before the id: users choose their ids, so an id alone says not whose it is.
  member bytea not null check (length(member) = 17),
  constraint group_members_pkey primary key (organization_id, group_id, member),
  foreign key (organization_id, group_id) references groups on delete cascade
);
create index group_members_by_member on group_members (organization_id, member, group_id);
create policy tenant on group_members using (organization_id = workos.organization());
