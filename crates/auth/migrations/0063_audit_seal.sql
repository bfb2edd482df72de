-- Events are chained many at a time: the end of a chain is written once for all of its events, and so are their places. The function gives
-- the events themselves, so nobody looks them up again.

-- As before; without a search path of its own it is computed where it stands, not called. Only `audit_seal` uses it, which has one.
create or replace function audit_digest(before bytea, place bigint, event audit_event) returns bytea
language sql stable
as $$
  select sha256(before || int8send(place)
    || audit_text(event.audit_id::text) || audit_text(event.organization_id::text)
    || int8send((extract(epoch from event.create_time) * 1000000)::bigint)
    || audit_text(event.method) || audit_text(event.action) || audit_text(event.resource) || audit_text(event.actor)
    || audit_text(event.acting) || int2send(event.outcome) || audit_text(event.reason) || audit_text(event.network)
    || audit_text(event.request_id) || int4send(event.occurrences) || audit_text(event.details::text))
$$;

drop function audit_seal(integer);

-- Chains events that wait, the oldest first, and gives them in the order of their chains; one at a time does so. The tables grow faster than
-- they are analyzed, and a plan that was made while they were small would read all of them: so it is said here that indexes are used.
create function audit_seal(most integer) returns table (sealed_sequence bigint, sealed_id uuid, sealed_digest bytea, sealed_event audit_event)
language plpgsql security definer set search_path from current
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  event audit_event;
  head audit_heads;
  organizations uuid[];
  sequences bigint[];
  ids uuid[];
  digests bytea[];
begin
  if not pg_try_advisory_xact_lock(hashtextextended('workos.auth.audit', 0)) then
    return;
  end if;
  for event in
    select e.* from (select p.audit_id from audit_pending p order by p.audit_id limit most) waiting
    join audit_event e on e.audit_id = waiting.audit_id
    order by e.organization_id, e.audit_id
  loop
    if head.organization_id is distinct from event.organization_id then
      update audit_heads h set sequence = head.sequence, digest = head.digest where h.organization_id = head.organization_id;
      insert into audit_heads (organization_id, sequence, digest) values (event.organization_id, 0, '') on conflict do nothing;
      select * into head from audit_heads h where h.organization_id = event.organization_id for update;
    end if;
    head.digest := audit_digest(head.digest, head.sequence + 1, event);
    head.sequence := head.sequence + 1;
    organizations := organizations || event.organization_id;
    sequences := sequences || head.sequence;
    ids := ids || event.audit_id;
    digests := digests || head.digest;
    sealed_sequence := head.sequence;
    sealed_id := event.audit_id;
    sealed_digest := head.digest;
    sealed_event := event;
    return next;
  end loop;
  update audit_heads h set sequence = head.sequence, digest = head.digest where h.organization_id = head.organization_id;
  insert into audit_chain (organization_id, sequence, audit_id, digest)
  select * from unnest(organizations, sequences, ids, digests);
  delete from audit_pending p where p.audit_id = any(ids);
end
$$;
