-- What a member has allowed applications in an organization ends with his membership, in the transaction of whoever ends that.
create policy tenant on consents using (organization_id = workos.organization());
delete from consents c where organization_id is not null
  and not exists (select from memberships m where m.user_id = c.user_id and m.organization_id = c.organization_id);
