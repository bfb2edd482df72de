-- Where somebody signed in, so that he tells his devices apart: the network address as the edge saw it, when he signed in and when the
-- session was last used, and what his program calls itself. A code carries it to the session that is made of it. It goes with the row.
alter table authorization_codes add column network text not null default '', add column user_agent text not null default '';
alter table sessions add column network text not null default '', add column last_network text not null default '',
  add column user_agent text not null default '';
