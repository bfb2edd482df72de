//! Rows of revocations, and what is thrown away when its time has come.
use api::{OrganizationId, UserId};
use db::{Row, Tx};
use time::OffsetDateTime;

use crate::model::{Revocation, RevocationKind};

/// Whose revocation it is, for the walls between tenants.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Owner {
    /// Tenant.
    pub(crate) organization: Option<OrganizationId>,
    /// User.
    pub(crate) user: Option<UserId>,
}

/// Writes an entry; one that is there is moved forward.
pub(crate) async fn upsert(tx: &Tx, entry: &Revocation, owner: Owner) -> Result<(), db::Error> {
    let sql = "insert into revocations as r (kind, id, renew, not_before, keep_until, organization_id, user_id) values ($1, $2, $3, $4, $5, $6, $7) \
         on conflict (kind, id, renew) do update set not_before = greatest(r.not_before, excluded.not_before), \
         keep_until = greatest(r.keep_until, excluded.keep_until)";
    let Revocation { kind, id, not_before, keep_until, renew } = entry;
    let (organization, user) = (owner.organization.map(OrganizationId::uuid), owner.user.map(UserId::uuid));
    tx.execute(sql, &[kind, id, renew, not_before, keep_until, &organization, &user]).await.map(drop)
}

fn read(row: &Row) -> Result<Revocation, db::Error> {
    Ok(Revocation {
        kind: row.try_get("kind")?,
        id: row.try_get("id")?,
        not_before: row.try_get("not_before")?,
        keep_until: row.try_get("keep_until")?,
        renew: row.try_get("renew")?,
    })
}

/// A page of the entries still needed, after one.
pub(crate) async fn list(
    tx: &Tx,
    now: OffsetDateTime,
    (kind, id, renew): (&str, &str, bool),
    limit: i64,
) -> Result<Vec<Revocation>, db::Error> {
    let sql = "select kind, id, not_before, keep_until, renew from revocations \
         where keep_until > $1 and (kind, id, renew) > ($2, $3, $4) order by kind, id, renew limit $5";
    tx.query(sql, &[&now, &kind, &id, &renew, &limit]).await?.iter().map(read).collect()
}

/// The entries still needed that hit any of these, and those of signing keys, which hit anything.
pub(crate) async fn of(tx: &Tx, what: &[RevocationKind], now: OffsetDateTime) -> Result<Vec<Revocation>, db::Error> {
    let (kinds, ids) = keys(what);
    read_all(&tx.query(OF, &[&now, &kinds, &ids]).await?)
}

/// See [`of`]: of a moment, and of [`keys`]. Two looks into the index; an `or` would read the table.
pub(crate) const OF: &str = "select kind, id, not_before, keep_until, renew from revocations \
       where keep_until > $1 and (kind, id) in (select * from unnest($2::text[], $3::text[])) \
     union all select kind, id, not_before, keep_until, renew from revocations where keep_until > $1 and kind = 'kid'";

/// Kinds and ids of what may be revoked.
pub(crate) fn keys(what: &[RevocationKind]) -> (Vec<&'static str>, Vec<String>) {
    what.iter().map(|what| (what.text(), what.id())).unzip()
}

/// Reads the rows of [`OF`].
pub(crate) fn read_all(rows: &[Row]) -> Result<Vec<Revocation>, db::Error> {
    rows.iter().map(read).collect()
}

/// Deletes what has ended; gives the number of rows. Used codes are kept for a day: so long a second use ends the session of the first.
pub(crate) async fn purge(tx: &Tx, now: OffsetDateTime) -> Result<u64, db::Error> {
    let mut rows = 0;
    for sql in [
        "delete from login_flows where expire_time < $1 and (mail_expire_time is null or mail_expire_time < $1)",
        "delete from passkey_registrations where expire_time < $1",
        "delete from authorization_codes where expire_time < $1::timestamptz - interval '1 day'",
        "delete from sessions where expire_time < $1",
        "delete from delegations where expire_time < $1",
        "delete from revocations where keep_until < $1",
        // Counters of failures are kept: a slow guesser must not begin anew each day.
        "delete from sign_in_attempts where failures = 0 and update_time < $1::timestamptz - interval '1 day'",
        "delete from sign_in_attempts where update_time < $1::timestamptz - interval '180 days'",
        // An app that was never confirmed.
        "delete from mfa_factors where not confirmed and create_time < $1::timestamptz - interval '1 day'",
        "delete from bootstrap_codes where expire_time < $1",
        "delete from authorization_requests where expire_time < $1",
        "delete from device_codes where expire_time < $1::timestamptz - interval '1 day'",
        "delete from device_attempts where expire_time < $1",
        "delete from invitations where expire_time < $1::timestamptz - interval '90 days'",
    ] {
        rows += tx.execute(sql, &[&now]).await?;
    }
    Ok(rows)
}
