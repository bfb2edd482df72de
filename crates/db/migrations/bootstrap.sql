-- Functions that policies and the migrator use. Run by `workos_owner` before every migration, under its lock, so everything
-- here is `create or replace`. A setting that was reset is '' and not null, hence nullif.

create or replace function workos.organization() returns uuid
language sql stable parallel safe
as $$ select nullif(current_setting('workos.organization', true), '')::uuid $$;

create or replace function workos.subject() returns uuid
language sql stable parallel safe
as $$ select nullif(current_setting('workos.subject', true), '')::uuid $$;

-- Tenant of a row that the platform writes: the organization, or the all-zero id where there is none.
create or replace function workos.tenant() returns uuid
language sql stable parallel safe
as $$ select coalesce(workos.organization(), '00000000-0000-0000-0000-000000000000'::uuid) $$;

-- Subject of a row that the platform writes: the user, or the all-zero id where there is none.
create or replace function workos.person() returns uuid
language sql stable parallel safe
as $$ select coalesce(workos.subject(), '00000000-0000-0000-0000-000000000000'::uuid) $$;

-- What the roles of a service may do with a table. Platform tables get what their use needs, the service's own get all.
create or replace function workos.privileges(table_name name, system_role boolean) returns text
language sql immutable
as $$
  select case
    when table_name in ('schema_history', 'platform_history') then 'select'
    when table_name = 'audit_event' then 'select, insert'
    -- The chain over audit events (auth): functions write it, under the owner's name.
    when table_name in ('audit_pending', 'audit_heads', 'audit_chain') then 'select'
    when table_name = 'epoch' then case when system_role then 'select, update' else 'select' end
    when system_role then 'select, insert, update, delete'
    when table_name = 'outbox_event' then 'insert'
    when table_name = 'processed_event' then 'select, insert'
    when table_name = 'idempotency' then 'select, insert, update'
    else 'select, insert, update, delete'
  end
$$;

-- Row-level security for one table: refused without a policy, forced also for the owner, open to db::system() alone.
-- The owner is in the policy because foreign keys are checked and cascaded under the owner's name.
create or replace function workos.raise_wall(table_id regclass) returns void
language plpgsql
as $$
declare
  system_role text := 'workos_' || current_schema() || '_system';
begin
  if not exists (select from pg_policy where polrelid = table_id and polname <> 'workos_system') then
    raise exception 'table % has no row-level security policy', table_id
      using hint = 'add one to the migration, for example: create policy tenant on ' || table_id
        || ' using (organization_id = workos.organization());';
  end if;
  execute format('alter table %s enable row level security', table_id);
  execute format('alter table %s force row level security', table_id);
  if not exists (select from pg_policy where polrelid = table_id and polname = 'workos_system') then
    execute format('create policy workos_system on %s to %I, workos_owner using (true) with check (true)',
      table_id, system_role);
  end if;
end
$$;

-- Run after each migration, in its transaction: a schema with a hole in its walls is never committed.
create or replace function workos.raise_walls() returns void
language plpgsql
as $$
declare
  item record;
  service_role text := 'workos_' || current_schema();
  system_role text := service_role || '_system';
begin
  execute format('grant usage on schema %I to %I, %I', current_schema(), service_role, system_role);
  for item in
    select c.oid::regclass as id, c.relname as name, c.relkind as kind, c.reloptions as options
    from pg_class c
    where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and not c.relispartition
  loop
    if item.kind = 'S' then
      execute format('grant usage, select on sequence %s to %I, %I', item.id, service_role, system_role);
      continue;
    elsif item.kind in ('m', 'f') then
      raise exception '% is a materialized view or a foreign table, which row-level security cannot guard', item.id;
    elsif item.kind = 'v' then
      if not coalesce(item.options && array['security_invoker=true', 'security_invoker=on', 'security_invoker=1'], false) then
        raise exception 'view % reads with its owner''s rights', item.id
          using hint = 'write: create view ' || item.id || ' with (security_invoker = true) as ...';
      end if;
    elsif item.name not in ('schema_history', 'platform_history') then
      perform workos.raise_wall(item.id);
    end if;
    execute format('grant %s on %s to %I', workos.privileges(item.name, false), item.id, service_role);
    execute format('grant %s on %s to %I', workos.privileges(item.name, true), item.id, system_role);
  end loop;
end
$$;
