-- What every service schema holds beside its own tables. Never edited after release: changes come as 0002.

-- Events written in the transaction of their change, taken by the relay (events.md, section 4). One plain table: sent rows are
-- deleted a day after they were sent, in small steps, so no partition has to exist in time.
create table outbox_event (
  event_id uuid primary key,
  lane smallint not null check (lane between 0 and 63),
  organization_id uuid not null,
  aggregate_type text not null,
  aggregate_id uuid not null,
  epoch integer not null,
  aggregate_version bigint not null,
  type text not null,
  payload bytea not null,
  headers jsonb not null,
  created_at timestamptz not null default now(),
  sent_at timestamptz,
  attempts integer not null default 0,
  last_error text
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
create index outbox_event_unsent on outbox_event (lane, aggregate_id, epoch, aggregate_version, event_id) where sent_at is null;
create index outbox_event_oldest on outbox_event (created_at) where sent_at is null;
create index outbox_event_sent on outbox_event (sent_at) where sent_at is not null;
create policy tenant on outbox_event for insert with check (organization_id = workos.tenant());

-- One row per consumer and event, written in the transaction of the effect.
create table processed_event (
  consumer text not null,
  event_id uuid not null,
  organization_id uuid not null default workos.tenant(),
  processed_at timestamptz not null default now(),
  primary key (consumer, event_id)
);
create index processed_event_age on processed_event using brin (processed_at);
create policy tenant on processed_event using (organization_id = workos.tenant());

-- One row per request id, written before the effect so that a parallel twin waits for it. The subject is part of the key:
-- nobody is answered with what another person's request made.
create table idempotency (
  organization_id uuid not null default workos.tenant(),
  subject_id uuid not null default workos.person(),
  method text not null,
  request_id text not null,
  fingerprint bytea not null,
  response_name text,
  created_at timestamptz not null default now(),
  primary key (organization_id, subject_id, method, request_id)
);
create index idempotency_age on idempotency using brin (created_at);
create policy tenant on idempotency using (organization_id = workos.tenant() and subject_id = workos.person());

-- Successful changes, written in their own commit; never changed, never deleted by a service.
create table audit_event (
  audit_id uuid primary key,
  organization_id uuid not null,
  method text not null,
  resource text not null,
  actor text not null,
  request_id text not null,
  traceparent text not null,
  create_time timestamptz not null default now()
);
create index audit_event_time on audit_event (organization_id, create_time);
create policy tenant on audit_event using (organization_id = workos.tenant());

-- Raised after a point-in-time restore: later versions then win over those of the lost timeline.
create table epoch (
  singleton boolean primary key default true check (singleton),
  value integer not null default 0
);
insert into epoch default values;
create policy everyone on epoch for select using (true);
