-- Inboxes, mails to send with every attempt, and mails that were captured instead of sent.

-- `last_sequence` is taken under the row's lock, so that the sequence of an inbox has no gap and no late comer.
create table inboxes (
  organization_id uuid not null,
  user_id uuid not null,
  last_sequence bigint not null,
  constraint inboxes_pkey primary key (organization_id, user_id)
);
create policy tenant on inboxes using (organization_id = workos.organization());

create table inbox_items (
  organization_id uuid not null,
  user_id uuid not null,
  sequence bigint not null,
  id uuid not null,
  event_id uuid not null,
  category text not null,
  title text not null,
  subject text not null,
  read boolean not null default false,
  create_time timestamptz not null,
  constraint inbox_items_pkey primary key (organization_id, user_id, sequence),
  constraint inbox_items_id unique (organization_id, user_id, id),
  -- One notification per event and recipient, whatever happens on the way.
  constraint inbox_items_event unique (organization_id, event_id, user_id),
  constraint inbox_items_inbox foreign key (organization_id, user_id) references inboxes
);
create policy tenant on inbox_items using (organization_id = workos.organization());
create index inbox_items_unread on inbox_items (organization_id, user_id, sequence) where not read;
create index inbox_items_by_time on inbox_items (create_time);

-- States: 1 pending, 2 sent, 3 uncertain, 4 dead, 5 suppressed. `version` counts the events published about the delivery.
-- The text is made when it is sent; the address is asked for then and not kept.
create table deliveries (
  organization_id uuid not null,
  id uuid not null,
  event_id uuid not null,
  user_id uuid not null,
  category text not null,
  title text not null,
  subject text not null,
  message_id text not null,
  state smallint not null check (state between 1 and 5),
  attempts integer not null default 0,
  tries_left smallint not null check (tries_left >= 0),
  last_error text not null default '',
  version bigint not null default 0,
  create_time timestamptz not null,
  update_time timestamptz not null,
  constraint deliveries_pkey primary key (organization_id, id),
  constraint deliveries_event unique (organization_id, event_id, user_id)
) with (fillfactor = 80);
create policy tenant on deliveries using (organization_id = workos.organization());
create index deliveries_by_state on deliveries (organization_id, state, id);
create index deliveries_to_forget on deliveries (update_time) where state <> 1;

-- Classes: 1 pending (begun, and nothing is known of its end), 2 accepted, 3 rejected for now, 4 rejected for good, 5 not sent,
-- 6 uncertain. The row is committed before anything goes on the wire.
create table attempts (
  organization_id uuid not null,
  delivery_id uuid not null,
  number integer not null,
  class smallint not null check (class between 1 and 6),
  detail text not null default '',
  start_time timestamptz not null,
  end_time timestamptz,
  constraint attempts_pkey primary key (organization_id, delivery_id, number),
  constraint attempts_end check ((class = 1) = (end_time is null)),
  constraint attempts_delivery foreign key (organization_id, delivery_id) references deliveries on delete cascade
);
create policy tenant on attempts using (organization_id = workos.organization());

-- What is to be sent, and when; while somebody works on it the time is when his lease ends. Seen from every organization: it
-- holds ids and times only, and the worker looks here for whose work there is.
create table delivery_queue (
  organization_id uuid not null,
  delivery_id uuid not null,
  due_time timestamptz not null,
  constraint delivery_queue_pkey primary key (organization_id, delivery_id),
  constraint delivery_queue_delivery foreign key (organization_id, delivery_id) references deliveries on delete cascade
);
create policy work on delivery_queue using (true);
create index delivery_queue_by_time on delivery_queue (due_time);

-- A mailbox drops a mail that it has already, by its Message-ID.
create table captured_mails (
  organization_id uuid not null,
  id uuid not null,
  message_id text not null,
  sender text not null,
  recipient text not null,
  subject text not null,
  text text not null,
  create_time timestamptz not null,
  constraint captured_mails_pkey primary key (organization_id, id),
  constraint captured_mails_message unique (organization_id, message_id)
);
create policy tenant on captured_mails using (organization_id = workos.organization());
create index captured_mails_by_time on captured_mails (create_time);
