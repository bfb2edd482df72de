-- The life of accounts and organizations: disabled, suspended, deleted and purged later; and keys.

alter table organizations
  -- 1 active, 2 suspended, 3 deleted.
  add column state smallint not null default 1 check (state between 1 and 3),
  add column purge_time timestamptz;
-- Members see their organizations, so that a transaction of theirs can tell whether one is active.
create policy member on organizations for select using (
  exists (select from memberships m where m.organization_id = organizations.organization_id and m.user_id = workos.subject())
);

alter table users
  -- 1 active, 2 disabled, 3 deleted.
  add column state smallint not null default 1 check (state between 1 and 3),
  -- 1 person, 2 service account: a member that nobody signs in as. Its address is empty.
  add column kind smallint not null default 1 check (kind between 1 and 2),
  add column version bigint not null default 1,
  add column purge_time timestamptz;
create index users_to_purge on users (purge_time) where purge_time is not null;
create policy changed on users for update using (managing_organization_id = workos.organization());

create table api_keys (
  organization_id uuid not null references organizations,
  key_id uuid not null,
  -- Whose rights it has: a person or a service account.
  user_id uuid not null references users,
  display_name text not null,
  scopes text[] not null,
  -- SHA-256 of the secret.
  secret_digest bytea not null constraint api_keys_secret unique,
  expire_time timestamptz not null,
  last_use_time timestamptz,
  create_time timestamptz not null,
  primary key (organization_id, key_id)
);
create index api_keys_of_owner on api_keys (organization_id, user_id);
create policy tenant on api_keys using (organization_id = workos.organization());
create policy own on api_keys using (user_id = workos.subject());
