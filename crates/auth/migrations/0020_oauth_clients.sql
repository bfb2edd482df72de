-- OAuth clients: applications that sign people in or act by themselves.

create table oauth_clients (
  organization_id uuid not null references organizations,
  client_id uuid not null,
  display_name text not null,
  -- 1 native, 2 web, 3 machine.
  kind smallint not null check (kind between 1 and 3),
  redirect_uris text[] not null check (cardinality(redirect_uris) <= 20),
  post_logout_redirect_uris text[] not null check (cardinality(post_logout_redirect_uris) <= 20),
  scopes text[] not null check (cardinality(scopes) <= 32),
  -- 1 none, 2 client_secret_basic, 3 client_secret_post.
  authentication_method smallint not null check (authentication_method between 1 and 3),
  -- 1 ES256, 2 RS256.
  id_token_algorithm smallint not null check (id_token_algorithm between 1 and 2),
  -- 1 window, 2 strict, 3 keep.
  refresh_mode smallint not null check (refresh_mode between 1 and 3),
  -- Of a machine: 1 viewer, 2 editor, 3 admin, 4 owner.
  role smallint check (role between 1 and 4),
  actors text[] not null check (cardinality(actors) <= 20),
  -- SHA-256 of the secret, and of the one before while it lives.
  secret_digest bytea,
  previous_digest bytea,
  previous_expire_time timestamptz,
  version bigint not null default 1,
  create_time timestamptz not null,
  update_time timestamptz not null,
  primary key (organization_id, client_id),
  constraint oauth_clients_id unique (client_id),
  check ((authentication_method = 1) = (secret_digest is null))
);
create policy tenant on oauth_clients using (organization_id = workos.organization());
