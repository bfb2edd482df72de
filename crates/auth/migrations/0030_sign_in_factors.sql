-- Sign-in factors: what a sign-in has proven, second factors, recovery codes, and counters of attempts that parallel honest sign-ins
-- do not trip over.

alter table sign_in_attempts
  -- Attempts that are being looked at; those whose end nobody reported by then count as failures.
  add column pending integer not null default 0,
  add column pending_until timestamptz not null default '-infinity';

alter table login_flows
  -- 1 waits for a first factor, 2 for a second one, 3 for an organization.
  add column stage smallint not null default 1 check (stage between 1 and 3),
  -- What was proven, as RFC 8176 names it.
  add column amr text[] not null default '{}',
  add column known_device boolean not null default false,
  -- Of a step-up: the session that the new one replaces, and its organization. user_id is then set from the start.
  add column replaces_session_id uuid,
  add column organization_id uuid,
  -- Recovery codes left after one was used.
  add column recovery_left smallint,
  -- State of a WebAuthn ceremony.
  add column ceremony text;

alter table authorization_codes
  add column amr text[] not null default '{pwd}',
  add column replaces_session_id uuid;

alter table sessions
  add column amr text[] not null default '{pwd}';

alter table passwords
  -- Long enough to be the only factor; a shorter one needs a second factor beside it.
  add column fit_alone boolean not null default true;

create table mfa_factors (
  user_id uuid not null references users,
  factor_id uuid not null,
  -- 1 TOTP, 2 the set of recovery codes.
  kind smallint not null check (kind between 1 and 2),
  display_name text not null,
  -- AES-256-GCM under the wrapping key, bound to user and factor; null for recovery codes.
  sealed_secret bytea,
  confirmed boolean not null,
  -- Newest step whose code was taken: no code counts twice.
  last_step bigint not null default -1,
  create_time timestamptz not null,
  last_use_time timestamptz,
  primary key (user_id, factor_id)
);
create unique index mfa_factors_one_set on mfa_factors (user_id) where kind = 2;
create policy own on mfa_factors using (user_id = workos.subject());

create table recovery_codes (
  user_id uuid not null references users,
  -- HMAC of user and code.
  code_digest bytea not null,
  primary key (user_id, code_digest)
);
create policy own on recovery_codes using (user_id = workos.subject());
