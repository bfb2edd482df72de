-- A sign-in by mail waits for the mail, which may take longer than a flow lives.

alter table login_flows
  -- Until then an answer out of a mail is taken, when the other ways to answer are over; null when no mail was asked for.
  add column mail_expire_time timestamptz;
