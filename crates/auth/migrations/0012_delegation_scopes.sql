-- A delegation allows no more than the credential that it was made with. Those of before were made with all rights of their subject.
alter table delegations add column scopes text[] not null default '{*}';
