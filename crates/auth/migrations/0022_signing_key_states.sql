-- States of signing keys: announced until activate_time, active until a successor is, retiring until expire_time, gone.

alter table signing_keys drop constraint signing_keys_use_check;
-- 1 internal tokens (Ed25519), 2 edge tokens (ES256), 3 refresh tokens (HMAC), 4 ID tokens (RS256).
alter table signing_keys add constraint signing_keys_use_check check (use between 1 and 4);
alter table signing_keys add column activate_time timestamptz;
update signing_keys set activate_time = create_time;
alter table signing_keys alter column activate_time set not null;
alter table signing_keys add column expire_time timestamptz;
