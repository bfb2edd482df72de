-- Ids of custom roles that ended. Clients choose ids; versions count the changes of one role, so verifiers that heard of both could not tell
-- an old version of the role before from the first of a new one under its id.
create table ended_custom_roles (
  organization_id uuid not null references organizations,
  role_id uuid not null,
  constraint ended_custom_roles_pkey primary key (organization_id, role_id)
);
create policy tenant on ended_custom_roles using (organization_id = workos.organization());
