//! Rows of device authorization. System transactions: the device knows no user, the user no device code.
use api::{Id, OrganizationId, UserId};
use db::{Row, Tx};
use time::OffsetDateTime;

use super::{id_opt, session::scopes};
use crate::model::{DeviceState, Scopes};

/// Who let a device in.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    /// The person.
    pub(crate) user: UserId,
    /// Version of his credentials.
    pub(crate) version: i64,
    /// Tenant.
    pub(crate) organization: Option<OrganizationId>,
    /// When he had signed in.
    pub(crate) auth_time: OffsetDateTime,
    /// How.
    pub(crate) amr: Vec<String>,
    /// The session in which he did.
    pub(crate) parent: Option<Id>,
}

/// A device that asked to be let in.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    /// Client that runs on it.
    pub(crate) client: String,
    /// Scopes it asks for.
    pub(crate) scopes: Scopes,
    /// What became of it.
    pub(crate) state: DeviceState,
    /// Who let it in.
    pub(crate) granted: Option<Granted>,
    /// Least seconds between two polls.
    pub(crate) interval: i32,
    /// The last poll.
    pub(crate) poll_time: Option<OffsetDateTime>,
    /// When it ends.
    pub(crate) expire_time: OffsetDateTime,
}

const COLUMNS: &str = "client, scope, state, user_id, organization_id, auth_time, amr, poll_interval, poll_time, expire_time, credential_version, parent_id";

fn read(row: &Row) -> Result<Device, db::Error> {
    let (time, version): (Option<OffsetDateTime>, Option<i64>) =
        (row.try_get("auth_time")?, row.try_get("credential_version")?);
    let user = id_opt(row, "user_id")?.map(UserId).zip(version).zip(time);
    let organization = id_opt(row, "organization_id")?.map(OrganizationId);
    let (amr, parent): (Vec<String>, _) = (row.try_get("amr")?, id_opt(row, "parent_id")?);
    Ok(Device {
        client: row.try_get("client")?,
        scopes: scopes(row)?,
        state: DeviceState::of_number(row.try_get("state")?).unwrap_or(DeviceState::Denied),
        granted: user.map(|((user, version), auth_time)| Granted {
            user,
            version,
            organization,
            auth_time,
            amr,
            parent,
        }),
        interval: row.try_get("poll_interval")?,
        poll_time: row.try_get("poll_time")?,
        expire_time: row.try_get("expire_time")?,
    })
}

/// A new device. The user code may be taken: then the unique index `device_codes_user` says so.
pub(crate) async fn insert(tx: &Tx, digest: &[u8], user_digest: &[u8], device: &Device) -> Result<(), db::Error> {
    let sql = "insert into device_codes (device_digest, user_digest, client, scope, state, poll_interval, expire_time) \
         values ($1, $2, $3, $4, 1, $5, $6)";
    let Device { client, scopes, interval, expire_time, .. } = device;
    tx.execute(sql, &[&digest, &user_digest, client, &scopes.text(), interval, expire_time]).await.map(drop)
}

/// The device with this code; locked until the transaction ends.
pub(crate) async fn lock(tx: &Tx, digest: &[u8]) -> Result<Option<Device>, db::Error> {
    let sql = format!("select {COLUMNS} from device_codes where device_digest = $1 for update");
    tx.query_opt(&sql, &[&digest]).await?.as_ref().map(read).transpose()
}

/// It polled.
pub(crate) async fn polled(tx: &Tx, digest: &[u8], interval: i32, now: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "update device_codes set poll_time = $2, poll_interval = $3 where device_digest = $1";
    tx.execute(sql, &[&digest, &now, &interval]).await.map(drop)
}

/// It got its tokens, or its answer: the codes are used up.
pub(crate) async fn delete(tx: &Tx, digest: &[u8]) -> Result<(), db::Error> {
    tx.execute("delete from device_codes where device_digest = $1", &[&digest]).await.map(drop)
}

/// A device that still waits, by its user code.
pub(crate) async fn waiting(tx: &Tx, user_digest: &[u8], now: OffsetDateTime) -> Result<Option<Device>, db::Error> {
    let sql = format!(
        "select {COLUMNS} from device_codes where user_digest = $1 and state = 1 and expire_time > $2 for update"
    );
    tx.query_opt(&sql, &[&user_digest, &now]).await?.as_ref().map(read).transpose()
}

/// Lets a device in, or not.
pub(crate) async fn decide(tx: &Tx, user_digest: &[u8], device: &Device) -> Result<(), db::Error> {
    let sql = "update device_codes set state = $2, user_id = $3, organization_id = $4, auth_time = $5, amr = $6, credential_version = $7, parent_id = $8 where user_digest = $1";
    let granted = device.granted.as_ref();
    let user = granted.map(|granted| granted.user.uuid());
    let organization = granted.and_then(|granted| granted.organization).map(OrganizationId::uuid);
    let auth_time = granted.map(|granted| granted.auth_time);
    let amr = granted.map_or(&[][..], |granted| &granted.amr);
    let version = granted.map(|granted| granted.version);
    let parent = granted.and_then(|granted| granted.parent).map(Id::uuid);
    let state = device.state as i16;
    tx.execute(sql, &[&user_digest, &state, &user, &organization, &auth_time, &amr, &version, &parent]).await.map(drop)
}

/// Counts a code as wrong before it is looked at, for each of these that typed it; false when one of them must wait. Its rows stay locked
/// until the transaction ends, so that parallel guesses are counted one by one.
pub(crate) async fn count(
    tx: &Tx,
    typists: &[Vec<u8>],
    most: i32,
    now: OffsetDateTime,
    expire_time: OffsetDateTime,
) -> Result<bool, db::Error> {
    let sql = "insert into device_attempts as a (identifier, failures, expire_time) select typist, 1, $4 from unnest($1::bytea[]) typist order by typist \
         on conflict (identifier) do update set failures = case when a.expire_time > $3 then a.failures + 1 else 1 end, expire_time = $4 \
         where a.failures < $2 or a.expire_time <= $3";
    let counted = tx.execute(sql, &[&typists, &most, &now, &expire_time]).await?;
    Ok(usize::try_from(counted) == Ok(typists.len()))
}

/// The code was right: it does not count.
pub(crate) async fn forgive(tx: &Tx, typists: &[Vec<u8>]) -> Result<(), db::Error> {
    let sql = "update device_attempts set failures = greatest(failures - 1, 0) where identifier = any($1)";
    tx.execute(sql, &[&typists]).await.map(drop)
}
