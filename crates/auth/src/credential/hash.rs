//! Argon2id on its own threads, so that sign-ins never take the cores that serve everybody else.
//!
//! Threads: all cores but one, at least one. At most 64 wait, none longer than 2 s; beyond that the answer is RESOURCE_EXHAUSTED. New
//! passwords take half of these places at most, so that nobody keeps people from signing in by making accounts.
//! 19 MiB, two passes, one lane (OWASP's minimum), with a pepper; stored as PHC strings. A hash that has begun is finished even
//! when its caller has gone, and holds its place until then.
mod argon;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use argon::Hasher;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{credential::Password, error::Error, metrics};

const QUEUE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a thread keeps its memory for the next hash.
const REST: Duration = Duration::from_secs(5);

/// A stored password hash (PHC string).
#[derive(Clone)]
pub(crate) struct PasswordHash(pub(crate) String);

enum Job {
    Make(Password, oneshot::Sender<Result<PasswordHash, Error>>),
    Test(Password, PasswordHash, oneshot::Sender<Result<bool, Error>>),
}

/// The pool. Cheap to clone; its threads end with the last clone.
#[derive(Clone)]
pub(crate) struct HashPool(Arc<Inner>);

struct Inner {
    jobs: mpsc::Sender<(Job, OwnedSemaphorePermit)>,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Moving mean of the time of one test, in microseconds.
    pace: Arc<AtomicU64>,
    dummy: PasswordHash,
}

impl HashPool {
    /// Starts the threads and makes the hash that unknown users are tested against.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(pepper: [u8; 32]) -> std::io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1));
        let nobodys =
            Password::present("dummy", "nobody has this password").unwrap_or_else(|_| unreachable!("it is short"));
        let (mut hasher, started) = (Hasher::new(pepper), Instant::now());
        let dummy = hasher.make(&nobodys).map_err(|_| std::io::Error::other("argon2 refuses its own parameters"))?;
        let pace = Arc::new(AtomicU64::new(micros(started)));
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        for index in 0..threads {
            let (queue, pace) = (Arc::clone(&queue), Arc::clone(&pace));
            let hasher = std::mem::replace(&mut hasher, Hasher::new(pepper));
            thread::Builder::new().name(format!("password-{index}")).spawn(move || work(&queue, hasher, &pace))?;
        }
        Ok(Self(Arc::new(Inner {
            jobs,
            places: Arc::new(Semaphore::new(threads)),
            waiting: AtomicUsize::new(0),
            pace,
            dummy,
        })))
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// HASH_QUEUE_FULL.
    pub(crate) async fn make(&self, password: Password) -> Result<PasswordHash, Error> {
        let (answer, result) = oneshot::channel();
        self.queue(Job::Make(password, answer), QUEUE / 2).await?;
        result.await.map_err(Error::fault)?
    }

    /// Tests a password; without a hash (an unknown user) the same work is done and the answer is no.
    ///
    /// # Errors
    /// HASH_QUEUE_FULL.
    pub(crate) async fn test(&self, password: Password, hash: Option<PasswordHash>) -> Result<bool, Error> {
        let known = hash.is_some();
        let (answer, result) = oneshot::channel();
        self.queue(Job::Test(password, hash.unwrap_or_else(|| self.0.dummy.clone()), answer), QUEUE).await?;
        Ok(result.await.map_err(Error::fault)?? && known)
    }

    /// Takes as long as a test takes, without the work: for attempts that are refused unseen.
    pub(crate) async fn idle(&self) {
        tokio::time::sleep(Duration::from_micros(self.0.pace.load(Ordering::Relaxed))).await;
    }

    async fn queue(&self, job: Job, most: usize) -> Result<(), Error> {
        let place = self.place(most).await?;
        self.0.jobs.send((job, place)).map_err(|_| Error::fault("the password threads have ended"))
    }

    async fn place(&self, most: usize) -> Result<OwnedSemaphorePermit, Error> {
        let waiting = Waiting::enter(&self.0.waiting, most).ok_or(Error::HashQueueFull(PATIENCE))?;
        let place = tokio::time::timeout(PATIENCE, Arc::clone(&self.0.places).acquire_owned()).await;
        drop(waiting);
        match place {
            Ok(place) => place.map_err(Error::fault),
            Err(_) => Err(Error::HashQueueFull(PATIENCE)),
        }
    }
}

/// A place in the queue, left on drop: the caller may go away while he waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let before = waiting.fetch_add(1, Ordering::AcqRel);
        metrics::hash_queue(before + 1);
        let place = Self(waiting);
        (before < most).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        metrics::hash_queue(self.0.fetch_sub(1, Ordering::AcqRel) - 1);
    }
}

fn work(queue: &Mutex<mpsc::Receiver<(Job, OwnedSemaphorePermit)>>, mut hasher: Hasher, pace: &AtomicU64) {
    loop {
        let Ok(next) = queue.lock().map(|queue| queue.recv_timeout(REST)) else { return };
        let (job, place) = match next {
            Ok(next) => next,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                hasher.rest();
                continue;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
        match job {
            Job::Make(password, answer) => drop(answer.send(hasher.make(&password))),
            Job::Test(password, hash, answer) => {
                let started = Instant::now();
                let result = hasher.test(&password, &hash);
                pace.store((pace.load(Ordering::Relaxed) * 7 + micros(started)) / 8, Ordering::Relaxed);
                drop(answer.send(result));
            }
        }
        drop(place);
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX / 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::present("password", text).expect("it is short")
    }

    #[tokio::test]
    async fn a_hash_holds_only_with_its_password_and_its_pepper() {
        let pool = HashPool::start([1; 32]).expect("threads start");
        let hash = pool.make(password("vK4 rqz Lp8 wmN")).await.expect("hashed");
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert!(pool.test(password("vK4 rqz Lp8 wmN"), Some(hash.clone())).await.expect("tested"));
        assert!(!pool.test(password("vK4 rqz Lp8 wmn"), Some(hash.clone())).await.expect("tested"));
        assert!(!pool.test(password("nobody has this password"), None).await.expect("tested"));
        let other = HashPool::start([2; 32]).expect("threads start");
        assert!(!other.test(password("vK4 rqz Lp8 wmN"), Some(hash)).await.expect("tested"));
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let pool = HashPool::start([1; 32]).expect("threads start");
        let _places = Arc::clone(&pool.0.places)
            .acquire_many_owned(u32::try_from(pool.0.places.available_permits()).expect("few"))
            .await;
        tokio::time::pause();
        let attempts = (0..=QUEUE).map(|_| pool.make(password("vK4 rqz Lp8 wmN")));
        let results = futures::future::join_all(attempts).await;
        assert!(results.iter().all(|result| matches!(result, Err(Error::HashQueueFull(_)))));
        assert_eq!(pool.0.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn new_passwords_leave_places_for_sign_ins() {
        let pool = HashPool::start([1; 32]).expect("threads start");
        let all = u32::try_from(pool.0.places.available_permits()).expect("few");
        let _places = Arc::clone(&pool.0.places).acquire_many_owned(all).await;
        let mut makes: Vec<_> = (0..QUEUE).map(|_| Box::pin(pool.make(password("vK4 rqz Lp8 wmN")))).collect();
        let mut refused = 0;
        for make in &mut makes {
            refused += usize::from(futures::poll!(make).is_ready());
        }
        assert_eq!(refused, QUEUE / 2);
        let mut test = Box::pin(pool.test(password("vK4 rqz Lp8 wmN"), None));
        assert!(futures::poll!(&mut test).is_pending(), "it waits for its turn");
    }
}
