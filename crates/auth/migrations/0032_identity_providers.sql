-- Social login: identity providers as rows, and linked upstream accounts.

create table identity_providers (
  organization_id uuid not null references organizations,
  provider_id uuid not null constraint identity_providers_id unique,
  display_name text not null,
  -- 1 OpenID Connect, 2 OAuth 2.0.
  protocol smallint not null check (protocol between 1 and 2),
  issuer text not null,
  client_id text not null,
  -- AES-256-GCM under the wrapping key, bound to the provider.
  sealed_secret bytea not null,
  scopes text[] not null check (cardinality(scopes) <= 10),
  hosts text[] not null check (cardinality(hosts) <= 10),
  authorization_endpoint text not null,
  token_endpoint text not null,
  userinfo_endpoint text not null,
  email_endpoint text not null,
  subject_path text not null,
  email_path text not null,
  email_verified_path text not null,
  version bigint not null default 1,
  create_time timestamptz not null,
  update_time timestamptz not null,
  primary key (organization_id, provider_id)
);
create policy tenant on identity_providers using (organization_id = workos.organization());

create table identities (
  user_id uuid not null references users,
  identity_id uuid not null,
  issuer text not null,
  subject text not null,
  -- As the provider said when it was linked; for its user's eyes, never compared.
  email text not null,
  create_time timestamptz not null,
  primary key (user_id, identity_id),
  constraint identities_once unique (issuer, subject)
);
create policy own on identities using (user_id = workos.subject());

alter table login_flows drop constraint login_flows_stage_check;
-- 4 waits for the answer of an identity provider, whose state stands in ceremony.
alter table login_flows add constraint login_flows_stage_check check (stage between 1 and 4);
