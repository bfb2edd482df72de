-- Links: what is shared with one is for the members who opened it, until it ends. Links and their holders change under the lock of the
-- organization's row.

create table links (
  organization_id uuid not null references organizations,
  link_id uuid not null,
  -- Who made it.
  user_id uuid not null,
  display_name text not null,
  -- SHA-256 of 256 random bits, which nobody is shown twice.
  secret_digest bytea not null check (length(secret_digest) = 32),
  expire_time timestamptz not null,
  create_time timestamptz not null,
  -- Counts the making and each opening: the order of its events.
  version bigint not null default 1,
  holder_count integer not null default 0 check (holder_count between 0 and 10000),
  constraint links_pkey primary key (organization_id, link_id)
);
create policy tenant on links using (organization_id = workos.organization());
create index links_by_user on links (organization_id, user_id, link_id);
create index links_ended on links (expire_time);

create table link_holders (
  organization_id uuid not null,
  link_id uuid not null,
  user_id uuid not null,
  -- That of the link, which does not change: who asks for the links of a user reads this table alone.
  expire_time timestamptz not null,
  constraint link_holders_pkey primary key (organization_id, link_id, user_id),
  foreign key (organization_id, link_id) references links on delete cascade
);
create policy tenant on link_holders using (organization_id = workos.organization());
create index link_holders_by_user on link_holders (organization_id, user_id, link_id) include (expire_time);
