-- How long an organization keeps its audit log is its own matter, within limits.

alter table organizations
  -- Null: the platform's default.
  add column audit_retention_days integer check (audit_retention_days between 30 and 3650);

-- As before, with each organization's own time.
create or replace function audit_purge(kept interval, most integer) returns bigint
language plpgsql security definer set search_path from current
as $$
declare
  head audit_heads;
  own interval;
  young bigint;
  until bigint;
  deleted bigint := 0;
begin
  for head in select * from audit_heads h where h.sequence > h.kept_sequence for update skip locked loop
    select make_interval(days => o.audit_retention_days) into own from organizations o where o.organization_id = head.organization_id;
    own := greatest(coalesce(own, kept), interval '30 days');
    select min(c.sequence) into young from audit_chain c join audit_event e on e.audit_id = c.audit_id
    where c.organization_id = head.organization_id and c.sequence > head.kept_sequence
      and c.sequence <= head.kept_sequence + most and e.create_time >= now() - own;
    until := coalesce(young - 1, least(head.kept_sequence + most, head.sequence));
    continue when until <= head.kept_sequence;
    update audit_heads h set kept_sequence = until,
      kept_digest = (select c.digest from audit_chain c where c.organization_id = head.organization_id and c.sequence = until)
    where h.organization_id = head.organization_id;
    delete from audit_event e using audit_chain c
    where c.organization_id = head.organization_id and c.sequence <= until and e.audit_id = c.audit_id;
    delete from audit_chain c where c.organization_id = head.organization_id and c.sequence <= until;
    deleted := deleted + until - head.kept_sequence;
  end loop;
  return deleted;
end
$$;
