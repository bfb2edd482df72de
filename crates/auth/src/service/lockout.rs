//! Attempts behind the lockout: counted before they are looked at, by all doors alike.
//!
//! Attempts at one thing take turns in this process, so that honest parallel sign-ins wait for each other and nobody asks the
//! database in vain; the rows decide between processes.
use std::{sync::Arc, time::Duration};

use api::{CallContext, Id, UserId};
use moka::sync::Cache;
use tokio::{sync::Semaphore, time::Instant};

use super::Auth;
use crate::{
    credential::hmac,
    error::Error,
    metrics,
    model::{DeviceClass, Email, Factor, LOCKOUT_FREE},
    store::{
        self,
        attempt::{Admission, Ending},
    },
};

/// How long an attempt waits for those before it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often one asks again whose turn another process holds.
const AGAIN: Duration = Duration::from_millis(25);
/// Identifiers whose turns are kept; an evicted one only costs questions to the database.
const TURNS: u64 = 10_000;

/// Kinds of counters of passwords that are not counted by an address.
const OF_SESSION: &str = "password of a session";
const OF_LINK: &str = "password of a link";

const CLASSES: [DeviceClass; 2] = [DeviceClass::Known, DeviceClass::Unknown];

/// Turns of this process, by counter.
pub(super) struct Turns(Cache<[u8; 32], Arc<Semaphore>>);

impl Turns {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(TURNS).time_to_idle(Duration::from_secs(60)).build())
    }

    fn of(&self, key: [u8; 32]) -> Arc<Semaphore> {
        let places = usize::try_from(LOCKOUT_FREE).unwrap_or(1);
        self.0.get_with(key, || Arc::new(Semaphore::new(places)))
    }
}

/// What attempts are counted under.
#[derive(Clone, Copy)]
pub(super) struct Counter {
    key: [u8; 32],
    device: DeviceClass,
}

impl Auth {
    /// The counter of passwords for an address as typed; equal for all its spellings, and there whether anybody has it or not.
    pub(super) fn password_counter(&self, email: &str, device: DeviceClass) -> Counter {
        self.counter(Factor::Password, Email::key(email).as_bytes(), device)
    }

    /// The counter of a second factor of a user.
    pub(super) fn factor_counter(&self, factor: Factor, user: UserId, device: DeviceClass) -> Counter {
        self.counter(factor, user.uuid().as_bytes(), device)
    }

    /// The counter of passwords for who is signed in already: that of his browser's session, with all that applications have got of it. Guesses
    /// from elsewhere do not shut him out; and who holds a stolen session shuts out nobody but himself, however many more he makes of it.
    pub(super) fn session_counter(&self, root: Id) -> Counter {
        let device = DeviceClass::Known;
        Counter { key: counter_key(&self.identifiers, OF_SESSION, root.uuid().as_bytes(), device), device }
    }

    /// The counter of passwords for who holds the link to another address of this user: such a link begins in a session of his alone.
    pub(super) fn link_counter(&self, user: UserId) -> Counter {
        let device = DeviceClass::Unknown;
        Counter { key: counter_key(&self.identifiers, OF_LINK, user.uuid().as_bytes(), device), device }
    }

    fn counter(&self, factor: Factor, of: &[u8], device: DeviceClass) -> Counter {
        Counter { key: counter_key(&self.identifiers, factor.text(), of, device), device }
    }

    /// Runs a test behind the lockout. `None` for wrong and locked; a locked one takes as long as a password's test.
    ///
    /// # Errors
    /// What the test says, which is then not counted; HASH_QUEUE_FULL when too many are ahead.
    pub(super) async fn attempt<T>(
        &self,
        context: &CallContext,
        counter: Counter,
        test: impl Future<Output = Result<Option<T>, Error>>,
    ) -> Result<Option<T>, Error> {
        let turns = self.turns.of(counter.key);
        let turn = tokio::time::timeout(PATIENCE, turns.acquire_owned()).await;
        let turn = turn.map_err(|_| Error::HashQueueFull(PATIENCE))?.map_err(Error::fault)?;
        if !self.enter(context, counter).await? {
            drop(turn);
            self.hashes.idle().await;
            metrics::sign_in("locked");
            return Ok(None);
        }
        let tested = test.await;
        let ending = if matches!(tested, Ok(None)) { Ending::Failed } else { Ending::Released };
        if ending == Ending::Failed {
            metrics::sign_in("refused");
        }
        let tx = self.db.system("the end of an attempt to sign in", &quiet(context)).await?;
        store::attempt::leave(&tx, &counter.key, ending, self.clock.now()).await?;
        tx.commit().await?;
        drop(turn);
        tested
    }

    /// Takes a place; false when the attempt is not looked at.
    async fn enter(&self, context: &CallContext, counter: Counter) -> Result<bool, Error> {
        let began = Instant::now();
        loop {
            let tx = self.db.system("count an attempt to sign in", &quiet(context)).await?;
            let most = counter.device.most_failures();
            let admission = store::attempt::enter(&tx, &counter.key, most, self.clock.now()).await?;
            tx.commit().await?;
            match admission {
                Admission::Admitted => return Ok(true),
                Admission::Locked => return Ok(false),
                Admission::Busy if began.elapsed() > PATIENCE => return Err(Error::HashQueueFull(PATIENCE)),
                Admission::Busy => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    /// After a full sign-in the counters of its class of devices begin anew; the other class keeps its own.
    pub(super) async fn reset_counters(
        &self,
        tx: &db::Tx,
        user: UserId,
        email: &str,
        device: DeviceClass,
    ) -> Result<(), Error> {
        let counters = Factor::ALL.map(|factor| match factor {
            Factor::Password => self.password_counter(email, device).key,
            Factor::Totp | Factor::Recovery => self.factor_counter(factor, user, device).key,
        });
        Ok(store::attempt::reset(tx, &counters, self.clock.now()).await?)
    }
}

impl Auth {
    /// A new password begins anew, on known devices and others.
    pub(super) async fn reset_password_counters(&self, tx: &db::Tx, user: UserId, email: &str) -> Result<(), Error> {
        let counters = passwords_of(&self.identifiers, user, email);
        Ok(store::attempt::reset(tx, &counters, self.clock.now()).await?)
    }

    /// This counter begins anew.
    pub(super) async fn reset_counter(&self, tx: &db::Tx, counter: Counter) -> Result<(), Error> {
        Ok(store::attempt::reset(tx, &[counter.key], self.clock.now()).await?)
    }
}

/// `kind` keeps apart what is counted by different things: an id that somebody chose may have the bytes of another one's address.
fn counter_key(identifiers: &[u8; 32], kind: &str, of: &[u8], device: DeviceClass) -> [u8; 32] {
    hmac(identifiers, &[kind.as_bytes(), b"\0", device.text().as_bytes(), b"\0", of])
}

impl Auth {
    /// The second factors are gone: new ones begin anew.
    pub(super) async fn reset_factor_counters(&self, tx: &db::Tx, user: UserId) -> Result<(), Error> {
        Ok(store::attempt::reset(tx, &factors_of(&self.identifiers, user), self.clock.now()).await?)
    }
}

/// All counters of an account, but those of its sessions: they end with these.
pub(super) fn counters_of(identifiers: &[u8; 32], user: UserId, email: &str) -> Vec<[u8; 32]> {
    passwords_of(identifiers, user, email).into_iter().chain(factors_of(identifiers, user)).collect()
}

fn passwords_of(identifiers: &[u8; 32], user: UserId, email: &str) -> Vec<[u8; 32]> {
    let (address, id) = (Email::key(email), user.uuid());
    let typed = CLASSES.map(|device| counter_key(identifiers, Factor::Password.text(), address.as_bytes(), device));
    let link = counter_key(identifiers, OF_LINK, id.as_bytes(), DeviceClass::Unknown);
    typed.into_iter().chain([link]).collect()
}

/// The counters of an account's second factors.
pub(super) fn factors_of(identifiers: &[u8; 32], user: UserId) -> Vec<[u8; 32]> {
    let of =
        |factor: Factor| CLASSES.map(|device| counter_key(identifiers, factor.text(), user.uuid().as_bytes(), device));
    [Factor::Totp, Factor::Recovery].into_iter().flat_map(of).collect()
}

/// Context of a transaction that is no change of its own: the call's audit row is written with its outcome, once.
pub(super) fn quiet(context: &CallContext) -> CallContext {
    CallContext { audit: false, ..context.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids can be chosen: one with the bytes of somebody's address must not begin or fill his counter.
    #[test]
    fn no_counter_of_one_account_is_that_of_another_whatever_its_id() {
        let bytes = *b"victim@gmail.com";
        let id = UserId(Id::from_uuid(uuid::Uuid::from_bytes(bytes)));
        let theirs = counters_of(&[7; 32], UserId(Id::ZERO), "victim@gmail.com");
        let own = counters_of(&[7; 32], id, "attacker@example.com");
        let session = CLASSES.map(|device| counter_key(&[7; 32], OF_SESSION, &bytes, device));
        assert!(own.iter().chain(&session).all(|key| !theirs.contains(key)));
        assert_eq!(theirs.len(), 7);
    }
}
