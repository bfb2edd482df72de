-- Who asks for mails, so that a stranger does not use up an owner's; and sign-ins that must prove anew who somebody is.

-- An HMAC of the network that a stranger asks from; empty for what the service itself sends.
alter table mail_requests add column asker bytea not null default '';
alter table mail_deliveries add column asker bytea not null default '';
create index mail_deliveries_asked on mail_deliveries (email_key, purpose, create_time);

-- How many mails of a kind went to an address, whoever asked: a tenant sees only its own.
create function mails_to(address text, kind smallint, since timestamptz) returns bigint
language sql stable security definer set search_path from current
as $$ select count(*) from mail_deliveries where email_key = address and purpose = kind and create_time > since $$;

-- Whatever session an identity provider has of the person, he must prove anew who he is.
alter table login_flows add column again boolean not null default false;
