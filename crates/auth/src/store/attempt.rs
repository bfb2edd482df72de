//! Rows that count attempts. System transactions only.
//!
//! An attempt takes a place by one conditional statement before it is looked at, and gives it back when its end is known. A place
//! that nobody gave back in time counts as a failure: a process may have ended in between.
use db::Tx;
use time::{Duration, OffsetDateTime};

use crate::model::{LOCKOUT_FREE, LOCKOUT_STEPS, lockout_delay};

/// How long an attempt may be at work.
const PENDING: Duration = Duration::seconds(30);

/// What becomes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It has a place and may be looked at.
    Admitted,
    /// Too many failures: it is not looked at.
    Locked,
    /// As many are at work as may fail: it waits for their end.
    Busy,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Wrong.
    Failed,
    /// Right, or not looked at after all.
    Released,
}

/// Takes a place. Free attempts run side by side; after that one at a time.
pub(crate) async fn enter(
    tx: &Tx,
    counter: &[u8],
    most_failures: i32,
    now: OffsetDateTime,
) -> Result<Admission, db::Error> {
    let sql = "insert into sign_in_attempts as a (identifier, failures, pending, pending_until, next_time, update_time) \
         values ($1, 0, 1, $3, '-infinity', $2) \
         on conflict (identifier) do update set \
         failures = a.failures + case when a.pending_until <= $2 then a.pending else 0 end, \
         pending = case when a.pending_until <= $2 then 1 else a.pending + 1 end, pending_until = $3, update_time = $2 \
         where a.next_time <= $2 and a.failures + a.pending < $5 \
         and (a.failures + a.pending < $4 or a.pending = 0 or a.pending_until <= $2) returning identifier";
    let until = now + PENDING;
    if tx.query_opt(sql, &[&counter, &now, &until, &LOCKOUT_FREE, &most_failures]).await?.is_some() {
        return Ok(Admission::Admitted);
    }
    let sql = "select next_time <= $2 and pending > 0 and pending_until > $2 as busy from sign_in_attempts where identifier = $1";
    let row = tx.query_opt(sql, &[&counter, &now]).await?;
    // Without a row somebody's reset came between: the next try finds room.
    let busy = row.map(|row| row.try_get("busy")).transpose()?.unwrap_or(true);
    Ok(if busy { Admission::Busy } else { Admission::Locked })
}

/// Gives a place back.
pub(crate) async fn leave(tx: &Tx, counter: &[u8], ending: Ending, now: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "update sign_in_attempts set pending = greatest(pending - 1, 0), failures = failures + $3, update_time = $2, \
         next_time = case when $3 = 0 then next_time else \
         $2::timestamptz + make_interval(secs => ($4::float8[])[least(failures + 2, array_length($4::float8[], 1))]) end \
         where identifier = $1";
    let delays: Vec<f64> = (0..=LOCKOUT_STEPS).map(|failures| lockout_delay(failures).as_seconds_f64()).collect();
    let failed = i32::from(ending == Ending::Failed);
    tx.execute(sql, &[&counter, &now, &failed, &delays]).await.map(drop)
}

/// The counters begin anew. Attempts at work keep their places.
pub(crate) async fn reset(tx: &Tx, counters: &[[u8; 32]], now: OffsetDateTime) -> Result<(), db::Error> {
    let sql = "update sign_in_attempts set failures = 0, next_time = '-infinity', update_time = $2 where identifier = any($1) and failures > 0";
    let counters: Vec<&[u8]> = counters.iter().map(<[u8; 32]>::as_slice).collect();
    tx.execute(sql, &[&counters, &now]).await.map(drop)
}
