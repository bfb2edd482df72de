-- Bytes have an id of their own, made by the service and never used twice. A name that somebody chose, perhaps one that another
-- organization chose too or that a deleted file once had, can therefore never lead to somebody else's bytes.

alter table uploads add column content_id uuid;
update uploads set content_id = id;
alter table uploads alter column content_id set not null;
create index uploads_by_content on uploads (content_id);

alter table files add column content_id uuid;
update files set content_id = id;
alter table files alter column content_id set not null;
create index files_by_content on files (content_id);

-- When the bytes of a deleted file were dropped. The row stays: its id is never given again, so versions never go back.
alter table files add column purge_time timestamptz;
drop index files_to_release;
create index files_to_release on files (delete_time) where delete_time is not null and purge_time is null;
