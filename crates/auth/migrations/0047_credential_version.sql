-- Counts how often everything that a user has proven or been given was voided. What leads to a session carries the count under which it
-- began, and gives none once the count has moved.

alter table users add column credential_version bigint not null default 0;
-- Null until something is proven.
alter table login_flows add column credential_version bigint;
alter table authorization_codes add column credential_version bigint not null default 0;
-- Null until somebody has let the device in.
alter table device_codes add column credential_version bigint;
