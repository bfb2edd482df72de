-- A key can be renamed: its etag tells whether it is the one that was read.
alter table api_keys add column version bigint not null default 1;
