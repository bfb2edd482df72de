-- Passkeys: credentials of WebAuthn, and ceremonies that wait for an answer.

create table passkey_handles (
  user_id uuid primary key references users,
  -- What authenticators know the user by: random, so that it says nothing of him.
  handle uuid not null constraint passkey_handles_once unique
);
create policy own on passkey_handles using (user_id = workos.subject());

create table passkeys (
  user_id uuid not null references users,
  passkey_id uuid not null,
  credential_id bytea not null constraint passkeys_credential unique,
  -- Public key, counter and flags, as the library keeps them.
  credential text not null,
  display_name text not null,
  -- Its counter went back: somebody may have a copy.
  disabled boolean not null default false,
  version bigint not null default 1,
  create_time timestamptz not null,
  last_use_time timestamptz,
  primary key (user_id, passkey_id)
);
create policy own on passkeys using (user_id = workos.subject());

create table passkey_registrations (
  -- SHA-256 of the handle.
  registration_digest bytea primary key,
  user_id uuid not null references users,
  state text not null,
  expire_time timestamptz not null
);
create index passkey_registrations_expired on passkey_registrations (expire_time);
create index passkey_registrations_of_user on passkey_registrations (user_id);
create policy own on passkey_registrations using (user_id = workos.subject());
