-- An operator has disabled the account at the machine: no organization enables it again. What was disabled until now stays with the organizations.
alter table users add column disabled_by_operator boolean not null default false;
