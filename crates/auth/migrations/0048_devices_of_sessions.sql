-- The session that let the device in: with it ends what it gave and nobody has taken yet.

alter table device_codes add column parent_id uuid;
create index device_codes_of_session on device_codes (parent_id) where parent_id is not null;
create index authorization_codes_of_session on authorization_codes (parent_id) where parent_id is not null;
