-- A key that was revoked is good for nothing, not even for hints: its private half may be known to somebody.
alter table signing_keys add column revoke_time timestamptz;
-- Whoever gives a token must know of it, in whatever organization. An entry has the number of a key and nothing of anybody's.
create policy signing_keys on revocations for select
  using (kind = 'kid' and (workos.organization() is not null or workos.subject() is not null));
