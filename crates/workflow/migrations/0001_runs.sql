-- Runs and the tasks they give to people. `version` is the number of the newest event of the row: it rises by one with each of
-- them, under the row's lock.

-- `attention_time` is when the relay looks at a run next: to start it in the engine, to cancel it there, or to ask whether it
-- still runs. Null once the run has ended.
create table runs (
  organization_id uuid not null,
  id uuid not null,
  document_id uuid not null,
  revision bigint not null,
  title text not null,
  approvers uuid[] not null,
  -- 1 any, 2 all.
  rule smallint not null check (rule between 1 and 2),
  due_millis bigint not null check (due_millis > 0),
  remind_millis bigint not null check (remind_millis > 0),
  owner_id uuid not null,
  creator_id uuid not null,
  delegation text not null,
  -- Context of the call that began it: the events of its steps carry it.
  request_id text not null,
  traceparent text not null,
  -- 1 starting, 2 running, 3 completed, 4 failed, 5 canceled.
  state smallint not null check (state between 1 and 5),
  -- 1 approved, 2 rejected, 3 expired.
  outcome smallint check (outcome between 1 and 3),
  error text not null default '',
  version bigint not null,
  create_time timestamptz not null,
  end_time timestamptz,
  cancel_time timestamptz,
  attention_time timestamptz,
  constraint runs_pkey primary key (organization_id, id),
  constraint runs_approvers check (cardinality(approvers) between 1 and 20),
  constraint runs_ended check ((state >= 3) = (end_time is not null)),
  constraint runs_outcome check ((state = 3) = (outcome is not null)),
  constraint runs_attention check ((state >= 3) = (attention_time is null))
) with (fillfactor = 90);
create policy tenant on runs using (organization_id = workos.organization());
create index runs_by_creation on runs (organization_id, create_time, id);
create index runs_by_creator on runs (organization_id, creator_id, create_time, id);
create index runs_to_attend on runs (attention_time) where attention_time is not null;

-- `vote_id` is the decision that completed the task; a repeat of the same request finds itself by it. It is not unique: one request
-- id that is sent for two tasks at once must not leave a run with a decision that cannot be written down.
create table tasks (
  organization_id uuid not null,
  id uuid not null,
  run_id uuid not null,
  assignee_id uuid not null,
  -- 1 the approvers, 2 the owner.
  round smallint not null check (round between 1 and 2),
  -- 1 open, 2 completed, 3 closed.
  state smallint not null check (state between 1 and 3),
  -- 1 approve, 2 reject.
  decision smallint check (decision between 1 and 2),
  comment text not null default '',
  vote_id uuid,
  due_time timestamptz not null,
  remind_time timestamptz,
  version bigint not null,
  create_time timestamptz not null,
  end_time timestamptz,
  constraint tasks_pkey primary key (organization_id, id),
  constraint tasks_run foreign key (organization_id, run_id) references runs,
  constraint tasks_ended check ((state = 1) = (end_time is null)),
  constraint tasks_decided check ((state = 2) = (decision is not null) and (state = 2) = (vote_id is not null))
) with (fillfactor = 90);
create policy tenant on tasks using (organization_id = workos.organization());
create index tasks_of_vote on tasks (organization_id, vote_id) where vote_id is not null;
create index tasks_of_run on tasks (organization_id, run_id);
create index tasks_of_assignee on tasks (organization_id, assignee_id, create_time, id);
create index tasks_open_of_assignee on tasks (organization_id, assignee_id, create_time, id) where state = 1;
