-- Identity: who exists, who belongs where, who is signed in, what is void.
--
-- Users are global; an organization sees its members only. What belongs to no tenant (flows, codes, counters, keys) is open to
-- system transactions alone. Password hashes stand apart from users, so that no tenant transaction can read one.

create table organizations (
  organization_id uuid primary key,
  display_name text not null,
  version bigint not null default 1,
  create_time timestamptz not null,
  update_time timestamptz not null
);
create policy tenant on organizations using (organization_id = workos.organization());

create table users (
  user_id uuid primary key,
  email text not null,
  -- NFKC, lower case: what two addresses are compared by.
  email_key text not null constraint users_email unique,
  display_name text not null,
  managing_organization_id uuid not null references organizations,
  create_time timestamptz not null,
  update_time timestamptz not null
);

create table memberships (
  organization_id uuid not null references organizations,
  membership_id uuid not null,
  user_id uuid not null constraint memberships_user references users,
  -- 1 viewer, 2 editor, 3 admin, 4 owner; null sees only what is shared.
  role smallint check (role between 1 and 4),
  -- 1 active, 2 deactivated.
  state smallint not null check (state between 1 and 2),
  version bigint not null default 1,
  create_time timestamptz not null,
  update_time timestamptz not null,
  primary key (organization_id, membership_id),
  constraint memberships_once unique (organization_id, user_id)
);
create index memberships_of_user on memberships (user_id, membership_id);
create policy tenant on memberships using (organization_id = workos.organization());
create policy own on memberships for select using (user_id = workos.subject());

create policy own on users using (user_id = workos.subject());
create policy created on users for insert with check (managing_organization_id = workos.organization());
create policy members on users for select using (
  exists (select from memberships m where m.user_id = users.user_id and m.organization_id = workos.organization())
);

create table passwords (
  user_id uuid primary key references users,
  -- PHC string of Argon2id with pepper.
  hash text not null,
  update_time timestamptz not null
);
create policy own on passwords using (user_id = workos.subject());
create policy created on passwords for insert with check (
  exists (select from users u where u.user_id = passwords.user_id and u.managing_organization_id = workos.organization())
);

create table sessions (
  session_id uuid primary key,
  user_id uuid not null references users,
  organization_id uuid references organizations,
  client text not null,
  auth_time timestamptz not null,
  create_time timestamptz not null,
  last_use_time timestamptz not null,
  expire_time timestamptz not null,
  -- Rotation of refresh tokens: newest counter, when it was reached, whether its access token was used.
  counter bigint not null default 0,
  rotated_time timestamptz not null,
  confirmed boolean not null default false
);
create index sessions_of_user on sessions (user_id, session_id);
create index sessions_of_member on sessions (organization_id, user_id);
create index sessions_expired on sessions (expire_time);
create policy own on sessions using (user_id = workos.subject());
create policy tenant on sessions using (organization_id = workos.organization());

create table login_flows (
  -- SHA-256 of the handle.
  flow_digest bytea primary key,
  client text not null,
  redirect_uri text not null,
  code_challenge text not null,
  state text not null,
  -- Set once the password was right; the flow then waits for an organization.
  user_id uuid references users,
  auth_time timestamptz,
  expire_time timestamptz not null
);
create index login_flows_expired on login_flows (expire_time);
create index login_flows_of_user on login_flows (user_id) where user_id is not null;
create policy own on login_flows using (user_id = workos.subject());

create table authorization_codes (
  -- SHA-256 of the code.
  code_digest bytea primary key,
  client text not null,
  redirect_uri text not null,
  code_challenge text not null,
  user_id uuid not null references users,
  organization_id uuid references organizations,
  auth_time timestamptz not null,
  expire_time timestamptz not null,
  used_time timestamptz,
  -- Session that the code began; a second use ends it.
  session_id uuid
);
create index authorization_codes_expired on authorization_codes (expire_time);
create index authorization_codes_of_user on authorization_codes (user_id);
create policy own on authorization_codes using (user_id = workos.subject());

create table sign_in_attempts (
  -- HMAC of the identifier as typed: unknown accounts are counted like known ones.
  identifier bytea primary key,
  failures integer not null,
  -- No attempt is looked at before this.
  next_time timestamptz not null,
  update_time timestamptz not null
);
create index sign_in_attempts_age on sign_in_attempts (update_time);
create policy system_only on sign_in_attempts using (false);

create table signing_keys (
  key_id integer primary key check (key_id > 0),
  -- 1 internal tokens (Ed25519), 2 edge tokens (ES256), 3 refresh tokens (HMAC).
  use smallint not null check (use between 1 and 3),
  kid text not null unique,
  public_key bytea not null,
  -- AES-256-GCM under the wrapping key, which is not in the database.
  sealed_key bytea not null,
  create_time timestamptz not null
);
create policy system_only on signing_keys using (false);

create table revocations (
  kind text not null,
  id text not null,
  renew boolean not null,
  not_before timestamptz not null,
  keep_until timestamptz not null,
  organization_id uuid,
  user_id uuid,
  primary key (kind, id, renew)
);
create index revocations_kept on revocations (keep_until);
create policy tenant on revocations using (organization_id = workos.organization());
create policy own on revocations using (user_id = workos.subject());

create table delegations (
  organization_id uuid not null references organizations,
  delegation_id uuid not null,
  user_id uuid not null references users,
  actor text not null,
  purpose text not null,
  methods text[] not null,
  expire_time timestamptz not null,
  create_time timestamptz not null,
  primary key (organization_id, delegation_id)
);
create index delegations_of_member on delegations (organization_id, user_id);
create index delegations_expired on delegations (expire_time);
create policy tenant on delegations using (organization_id = workos.organization());

-- One row from the moment the platform has its first owner: the key decides between two parallel bootstraps.
create table bootstrap (
  singleton boolean primary key default true check (singleton),
  complete_time timestamptz not null
);
create policy system_only on bootstrap using (false);

create table bootstrap_codes (
  code_digest bytea primary key,
  expire_time timestamptz not null
);
create policy system_only on bootstrap_codes using (false);
