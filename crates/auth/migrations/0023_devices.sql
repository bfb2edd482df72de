-- Device authorization (RFC 8628).

create table device_codes (
  -- SHA-256 of the device code.
  device_digest bytea primary key,
  -- HMAC of the user code: 34 bits are few, a plain hash would be guessed from a dump.
  user_digest bytea not null constraint device_codes_user unique,
  client text not null,
  scope text not null,
  -- 1 waits, 2 approved, 3 denied.
  state smallint not null check (state between 1 and 3),
  user_id uuid references users,
  organization_id uuid references organizations,
  auth_time timestamptz,
  amr text[] not null default '{}',
  -- Least seconds between two polls, and the last poll.
  poll_interval integer not null,
  poll_time timestamptz,
  expire_time timestamptz not null
);
create index device_codes_expired on device_codes (expire_time);
create index device_codes_of_user on device_codes (user_id) where user_id is not null;
create policy own on device_codes using (user_id = workos.subject());

create table device_attempts (
  -- HMAC of the session or the network that typed.
  identifier bytea primary key,
  failures integer not null,
  -- The count begins anew after this.
  expire_time timestamptz not null
);
create index device_attempts_expired on device_attempts (expire_time);
create policy system_only on device_attempts using (false);
