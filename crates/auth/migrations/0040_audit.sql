-- The audit log of this service: rows of `audit_event` are chained per organization, in the order in which they are committed and found.
-- Roles of the service may insert events and read everything; the chain is written by the functions here alone, under the owner's name.

-- A person's own change may stand in the log of an organization he belongs to.
create policy person on audit_event for insert with check (
  exists (select from memberships m where m.user_id = workos.subject() and m.organization_id = audit_event.organization_id)
);
create index audit_event_page on audit_event (organization_id, audit_id);

-- Events that wait to be chained.
create table audit_pending (
  organization_id uuid not null,
  audit_id uuid primary key
);
create policy system_only on audit_pending using (false);

-- The end of each chain, and where what was deleted after its time ended.
create table audit_heads (
  organization_id uuid primary key,
  sequence bigint not null,
  digest bytea not null,
  kept_sequence bigint not null default 0,
  kept_digest bytea not null default ''
);
create policy tenant on audit_heads for select using (organization_id = workos.tenant());

create table audit_chain (
  organization_id uuid not null,
  sequence bigint not null,
  audit_id uuid not null constraint audit_chain_once unique,
  digest bytea not null,
  primary key (organization_id, sequence)
);
create policy tenant on audit_chain for select using (organization_id = workos.tenant());

create function audit_await() returns trigger
language plpgsql security definer set search_path from current
as $$
begin
  insert into audit_pending (organization_id, audit_id) values (new.organization_id, new.audit_id);
  return null;
end
$$;
create trigger audit_await after insert on audit_event for each row execute function audit_await();
insert into audit_pending (organization_id, audit_id) select organization_id, audit_id from audit_event;

-- A text that cannot run into the next one.
create function audit_text(value text) returns bytea
language sql immutable
as $$ select int4send(octet_length(value)) || convert_to(value, 'UTF8') $$;

-- SHA-256 over the digest before and everything the event says. `model/audit.rs` computes the same.
create function audit_digest(before bytea, place bigint, event audit_event) returns bytea
language sql stable set search_path from current
as $$
  select sha256(before || int8send(place)
    || audit_text(event.audit_id::text) || audit_text(event.organization_id::text)
    || int8send((extract(epoch from event.create_time) * 1000000)::bigint)
    || audit_text(event.method) || audit_text(event.action) || audit_text(event.resource) || audit_text(event.actor)
    || audit_text(event.acting) || int2send(event.outcome) || audit_text(event.reason) || audit_text(event.network)
    || audit_text(event.request_id) || int4send(event.occurrences) || audit_text(event.details::text))
$$;

-- Whether any event waits: asked often, by a transaction of no organization.
create function audit_waits() returns boolean
language sql stable security definer set search_path from current
as $$ select exists (select from audit_pending) $$;

-- Chains events that wait; one at a time does so.
create function audit_seal(most integer) returns table (sealed_organization uuid, sealed_sequence bigint, sealed_id uuid, sealed_digest bytea)
language plpgsql security definer set search_path from current
as $$
declare
  event audit_event;
  head audit_heads;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('workos.auth.audit', 0)) then
    return;
  end if;
  for event in
    select e.* from audit_pending p join audit_event e on e.audit_id = p.audit_id
    order by p.organization_id, p.audit_id limit most
  loop
    insert into audit_heads (organization_id, sequence, digest) values (event.organization_id, 0, '') on conflict do nothing;
    select * into head from audit_heads h where h.organization_id = event.organization_id for update;
    sealed_organization := event.organization_id;
    sealed_sequence := head.sequence + 1;
    sealed_id := event.audit_id;
    sealed_digest := audit_digest(head.digest, sealed_sequence, event);
    update audit_heads h set sequence = sealed_sequence, digest = sealed_digest where h.organization_id = event.organization_id;
    insert into audit_chain (organization_id, sequence, audit_id, digest)
    values (event.organization_id, sealed_sequence, event.audit_id, sealed_digest);
    delete from audit_pending p where p.audit_id = event.audit_id;
    return next;
  end loop;
end
$$;

-- Deletes events older than `kept` from the beginning of each chain; none younger than 30 days, whoever asks. The digest of the
-- last one deleted stays, so the rest can still be verified.
create function audit_purge(kept interval, most integer) returns bigint
language plpgsql security definer set search_path from current
as $$
declare
  head audit_heads;
  young bigint;
  until bigint;
  deleted bigint := 0;
begin
  kept := greatest(kept, interval '30 days');
  for head in select * from audit_heads h where h.sequence > h.kept_sequence for update skip locked loop
    select min(c.sequence) into young from audit_chain c join audit_event e on e.audit_id = c.audit_id
    where c.organization_id = head.organization_id and c.sequence > head.kept_sequence
      and c.sequence <= head.kept_sequence + most and e.create_time >= now() - kept;
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
