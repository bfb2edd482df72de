-- Audit rows say more: what happened in the service's own words, who acted for whom, whether it was refused and why, from where.
alter table audit_event
  -- `membership.updated`; the RPC where a service says nothing of its own.
  add column action text not null default '',
  -- Workload that acted for the actor, if any.
  add column acting text not null default '',
  -- 1 done, 2 refused.
  add column outcome smallint not null default 1 check (outcome between 1 and 2),
  -- Reason of a refusal.
  add column reason text not null default '',
  -- Network of the caller.
  add column network text not null default '',
  -- Equal refusals that this row stands for.
  add column occurrences integer not null default 1 check (occurrences > 0),
  -- More of it, never a secret: names to texts.
  add column details jsonb not null default '{}';
