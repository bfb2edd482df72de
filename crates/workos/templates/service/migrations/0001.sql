-- `version` is the etag and the number of the newest event: it rises by one with every change of the row, under the row's lock.
create table __names__ (
  organization_id uuid not null,
  id uuid not null,
  display_name text not null,
  version bigint not null,
  create_time timestamptz not null,
  -- Ids are ordered by time: the key also serves List__Names__.
  constraint __names___pkey primary key (organization_id, id)
);
create policy tenant on __names__ using (organization_id = workos.organization());
