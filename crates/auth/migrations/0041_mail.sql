-- Mail flows: proof of an address, forgotten passwords, sign-up, invitations. What a link carries is an HMAC of the delivery's id; its
-- key is not in the database, which holds only a digest.

alter table users
  -- Whoever has signed up by himself is managed by nobody.
  alter column managing_organization_id drop not null,
  -- When somebody proved to read this address.
  add column email_verified_time timestamptz;

-- What was asked for, looked at by nobody who could tell from the answer; a worker does the rest.
create table mail_requests (
  request_id uuid primary key,
  -- 1 sign-up, 2 verification, 4 reset, 5 sign-in.
  purpose smallint not null,
  email text not null,
  email_key text not null,
  -- Of a sign-up: name and password hash.
  display_name text not null default '',
  hash text not null default '',
  -- Of a sign-in: the flow that asked.
  flow_digest bytea,
  create_time timestamptz not null
);
create policy system_only on mail_requests using (false);

create function mail_waits() returns boolean
language sql stable security definer set search_path from current
as $$ select exists (select from mail_requests) $$;

create table mail_deliveries (
  delivery_id uuid primary key,
  purpose smallint not null check (purpose between 1 and 11),
  email text not null,
  email_key text not null,
  user_id uuid references users on delete cascade,
  organization_id uuid,
  invitation_id uuid,
  flow_digest bytea,
  display_name text not null default '',
  hash text not null default '',
  -- SHA-256 of what the link carries; of notices, which carry nothing, of nothing that anybody knows.
  secret_digest bytea not null constraint mail_deliveries_secret unique,
  create_time timestamptz not null,
  -- First time that the mail was made.
  send_time timestamptz,
  expire_time timestamptz not null,
  -- Used, or dead because of a newer one or a change of the account.
  end_time timestamptz
);
create index mail_deliveries_of_address on mail_deliveries (email_key, purpose) where end_time is null;
create index mail_deliveries_of_user on mail_deliveries (user_id) where end_time is null;
create index mail_deliveries_expired on mail_deliveries (expire_time);
create policy own on mail_deliveries using (user_id = workos.subject());
create policy tenant on mail_deliveries using (organization_id = workos.organization());

create table invitations (
  organization_id uuid not null references organizations,
  invitation_id uuid not null,
  email text not null,
  email_key text not null,
  role smallint check (role between 1 and 4),
  inviter_id uuid not null references users,
  -- 1 open, 2 accepted, 3 revoked.
  state smallint not null check (state between 1 and 3),
  create_time timestamptz not null,
  expire_time timestamptz not null,
  accept_time timestamptz,
  primary key (organization_id, invitation_id)
);
create unique index invitations_open on invitations (organization_id, email_key) where state = 1;
create policy tenant on invitations using (organization_id = workos.organization());
