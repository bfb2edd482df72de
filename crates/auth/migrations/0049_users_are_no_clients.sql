-- A machine's id stands where a user's does: in tokens, shares, authorship and what is revoked, in every service (ADR 0042). Who makes a
-- user may choose its id, so an id that a client has, or had, is never a user's.
create table client_ids (
  client_id uuid primary key
);
create policy system_only on client_ids using (false);

create function keep_client_id() returns trigger
language plpgsql security definer set search_path from current
as $$
begin
  insert into client_ids (client_id) values (new.client_id) on conflict do nothing;
  return null;
end
$$;
create trigger oauth_clients_keep_id after insert on oauth_clients for each row execute function keep_client_id();

create function refuse_client_id() returns trigger
language plpgsql security definer set search_path from current
as $$
begin
  if exists (select from client_ids where client_id = new.user_id) then
    raise unique_violation using constraint = 'users_pkey', message = 'a client has this id, or had it';
  end if;
  return new;
end
$$;
create trigger users_are_no_clients before insert on users for each row execute function refuse_client_id();

-- Behind the trigger, which waits for clients that are being made: none is missed. A user under such an id was possible until now; who he is stays
-- with the operator.
insert into client_ids (client_id) select client_id from oauth_clients on conflict do nothing;
do $$
declare doubles text := (select string_agg(user_id::text, ', ') from users join client_ids on client_id = user_id);
begin
  if doubles is not null then
    raise warning 'users under the ids of clients: %; look at them, and delete them by `workos admin`', doubles;
  end if;
end
$$;
