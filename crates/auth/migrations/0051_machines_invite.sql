-- A machine invites too, and its id stands where a user's does (ADR 0042). No id is ever both, and no row of a user is ever deleted.
alter table invitations drop constraint invitations_inviter_id_fkey;
