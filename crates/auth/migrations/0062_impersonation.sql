-- An administrator acts as a user, for support, in a session of that user's. It goes with the one in which he has signed in himself; what he
-- is called and why he does it is kept as the user is told.
alter table sessions
  add column impersonator_id uuid references users,
  add column impersonator_session_id uuid references sessions on delete cascade,
  add column impersonator_name text,
  add column impersonator_email text,
  add column impersonation_reason text,
  add constraint sessions_impersonation check (
    num_nulls(impersonator_id, impersonator_session_id, impersonator_name, impersonator_email, impersonation_reason) in (0, 5)
  );
create index sessions_of_impersonator on sessions (impersonator_session_id) where impersonator_session_id is not null;
alter table mail_deliveries
  drop constraint mail_deliveries_purpose_check,
  add constraint mail_deliveries_purpose_check check (purpose between 1 and 12),
  add column impersonator_name text,
  add column impersonator_email text,
  add column impersonation_reason text,
  add constraint mail_deliveries_impersonation check (
    num_nulls(impersonator_name, impersonator_email, impersonation_reason) = case purpose when 12 then 0 else 3 end
  );
