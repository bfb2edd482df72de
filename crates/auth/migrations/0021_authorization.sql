-- The authorization endpoint: requests that wait for a person, consents, browser sessions, what a grant carries.

-- Secret of a browser's cookie, as SHA-256; null for sessions of other clients.
alter table sessions add column cookie_digest bytea constraint sessions_cookie unique;
-- Scopes granted, separated by blanks.
alter table sessions add column scope text not null default '*';
-- The browser session that it was begun from.
alter table sessions add column parent_id uuid;
-- The nonce of the ID token belongs to the code, not to the session.
create index sessions_of_parent on sessions (parent_id) where parent_id is not null;
create index sessions_of_client on sessions (client);

alter table authorization_codes add column scope text not null default '*';
alter table authorization_codes add column nonce text not null default '';
alter table authorization_codes add column parent_id uuid;

create table authorization_requests (
  -- SHA-256 of the handle.
  request_digest bytea primary key,
  client text not null,
  redirect_uri text not null,
  code_challenge text not null,
  state text not null,
  nonce text not null,
  scope text not null,
  prompt text not null,
  max_age bigint,
  login_hint text not null,
  -- Pushed: waits for its one use at the authorization endpoint, and is bound to no browser yet.
  pushed boolean not null,
  -- SHA-256 of the secret of the browser that it began in.
  browser_digest bytea not null,
  -- The browser session that was asked for consent.
  session_id uuid,
  user_id uuid references users,
  -- The person whom the client expects, by its id_token_hint.
  expected_user_id uuid,
  -- Sign-ins before this do not count.
  auth_after timestamptz not null,
  create_time timestamptz not null,
  expire_time timestamptz not null
);
create index authorization_requests_expired on authorization_requests (expire_time);
create index authorization_requests_of_user on authorization_requests (user_id) where user_id is not null;
create policy own on authorization_requests using (user_id = workos.subject());

create table consents (
  consent_id uuid primary key,
  user_id uuid not null references users,
  client text not null,
  -- The all-zero id of the operators' organization cannot stand for none, hence null.
  organization_id uuid references organizations,
  scope text not null,
  create_time timestamptz not null,
  update_time timestamptz not null,
  constraint consents_once unique nulls not distinct (user_id, client, organization_id)
);
create index consents_of_client on consents (client);
create policy own on consents using (user_id = workos.subject());
