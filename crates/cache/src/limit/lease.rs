//! What an instance has drawn ahead of the budgets of its busy callers: they cost Redis one question per tenth of a second, not one per call.
//!
//! What must hold: nothing is granted that was not drawn; who comes seldom draws nothing ahead; what is drawn and not used in time is lost,
//! never granted later. The last units of a budget are not given ahead (`gcra.lua`), so it ends exactly, for all instances together.
use std::{
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Callers known at once. Two that meet in a place take turns in forgetting the other, and ask.
const PLACES: usize = 4096;
/// How long what is drawn ahead should last.
const PERIOD: Duration = Duration::from_millis(100);
/// After this what is left of it is lost.
const LIFE: Duration = Duration::from_secs(1);
/// Who asks again so soon asks beside one who is answered just now, and draws nothing ahead.
const BESIDE: Duration = Duration::from_millis(5);
/// Most units drawn ahead.
const AHEAD_MAX: u32 = 1024;
/// Where fewer are left, whether any is left is asked each time.
const NEAR_END: u32 = 16;

/// Units drawn ahead for who comes again within a period.
const AHEAD_MIN: u32 = 8;

/// What is drawn ahead.
pub(super) struct Leases {
    places: Box<[Mutex<Lease>]>,
    /// Keyed anew in each process: nobody chooses whom he meets.
    hasher: RandomState,
}

/// Of one budget.
#[derive(Clone, Copy, Debug)]
struct Lease {
    /// Hash of its key.
    key: u64,
    /// Units drawn and not yet granted.
    units: u32,
    /// What was left of the budget, these included.
    left: u32,
    /// When it was asked last.
    asked: Instant,
    /// How many units were asked for ahead.
    ahead: u32,
}

impl Lease {
    fn spend(&mut self, cost: u32, now: Instant) -> Option<u32> {
        if self.units < cost || now >= self.asked + LIFE {
            return None;
        }
        self.units -= cost;
        self.left = self.left.saturating_sub(cost);
        Some(self.left)
    }
}

impl Default for Leases {
    fn default() -> Self {
        let nobody = Lease { key: 0, units: 0, left: 0, asked: Instant::now(), ahead: 0 };
        Self { places: (0..PLACES).map(|_| Mutex::new(nobody)).collect(), hasher: RandomState::new() }
    }
}

impl Leases {
    /// Grants what was drawn ahead: what is left then, or `None`, if Redis is to be asked. Cost 0 looks only.
    pub(super) fn grant(&self, name: &str, cost: u32) -> Option<u32> {
        let (key, mut lease) = self.find(name);
        let (now, known) = (Instant::now(), lease.key == key);
        if cost == 0 {
            return (known && lease.left >= NEAR_END && now < lease.asked + PERIOD).then_some(lease.left);
        }
        // One asks for more before nothing is left, while the others go on.
        let asks_early = lease.units < lease.ahead / 4 && now >= lease.asked + BESIDE;
        if known && !asks_early { lease.spend(cost, now) } else { None }
    }

    /// As [`Leases::grant`], for who has asked Redis in vain: to the last unit.
    pub(super) fn grant_to_the_last(&self, name: &str, cost: u32) -> Option<u32> {
        let (key, mut lease) = self.find(name);
        if lease.key == key && cost > 0 { lease.spend(cost, Instant::now()) } else { None }
    }

    /// How many units to draw ahead beside what Redis is about to be asked for.
    pub(super) fn ahead(&self, name: &str) -> u32 {
        let (key, mut lease) = self.find(name);
        let now = Instant::now();
        if lease.key != key {
            *lease = Lease { key, units: 0, left: 0, asked: now, ahead: 0 };
            return 0;
        }
        let since = now.saturating_duration_since(lease.asked);
        if since < BESIDE {
            return 0;
        }
        lease.ahead = match since {
            _ if since < PERIOD => (lease.ahead * 4).clamp(AHEAD_MIN, AHEAD_MAX),
            _ if since < PERIOD * 2 => lease.ahead,
            _ if since < LIFE => lease.ahead / 2,
            _ => 0,
        };
        if since >= LIFE {
            lease.units = 0;
        }
        lease.asked = now;
        lease.ahead
    }

    /// Redis has answered: so many were drawn ahead, and so many are left, these included.
    pub(super) fn drawn(&self, name: &str, units: u32, left: u32) {
        let (key, mut lease) = self.find(name);
        if lease.key == key {
            lease.units = lease.units.saturating_add(units);
            lease.left = left;
        }
    }

    fn find(&self, name: &str) -> (u64, MutexGuard<'_, Lease>) {
        // 0 is nobody's.
        let key = self.hasher.hash_one(name).max(1);
        let place = usize::try_from(key % PLACES as u64).unwrap_or(0);
        (key, self.places[place].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn wait(millis: u64) {
        tokio::time::advance(Duration::from_millis(millis)).await;
    }

    /// Of `a`, and how many units.
    async fn drawn_ahead() -> (Leases, u32) {
        let leases = Leases::default();
        leases.ahead("a");
        wait(50).await;
        let ahead = leases.ahead("a");
        leases.drawn("a", ahead, 1000);
        wait(50).await;
        (leases, ahead)
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_seldom_draws_nothing_ahead() {
        let leases = Leases::default();
        for _ in 0..10 {
            assert_eq!((leases.grant("a", 1), leases.ahead("a")), (None, 0));
            leases.drawn("a", 0, 100);
            wait(1000).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_often_draws_as_much_as_a_period_takes() {
        let leases = Leases::default();
        let (mut asked, mut granted) = (0, 0);
        // A thousand per second for ten seconds.
        for _ in 0..10_000 {
            match leases.grant("a", 1) {
                Some(_) => granted += 1,
                None => {
                    asked += 1;
                    let ahead = leases.ahead("a");
                    leases.drawn("a", ahead, 10_000);
                }
            }
            wait(1).await;
        }
        assert_eq!(asked + granted, 10_000);
        assert!((50..200).contains(&asked), "{asked}");
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_at_once_one_asks_while_the_others_go_on() {
        let (leases, ahead) = drawn_ahead().await;
        let asked = (0..ahead).filter(|_| leases.grant("a", 1).is_none() && leases.ahead("a") > 0).count();
        assert_eq!(asked, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_granted_that_was_not_drawn_and_nothing_after_its_life() {
        let leases = Leases::default();
        leases.ahead("a");
        wait(50).await;
        assert_eq!(leases.ahead("a"), AHEAD_MIN);
        leases.drawn("a", 1, 50);
        assert_eq!(leases.grant("b", 1), None);
        assert_eq!((leases.grant("a", 2), leases.grant("a", 1), leases.grant("a", 1)), (None, Some(49), None));
        wait(50).await;
        let ahead = leases.ahead("a");
        leases.drawn("a", ahead, 50);
        wait(1000).await;
        assert_eq!(leases.grant("a", 1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_in_vain_gets_what_was_drawn() {
        let (leases, ahead) = drawn_ahead().await;
        let granted =
            (0..ahead).filter(|_| leases.grant("a", 1).or_else(|| leases.grant_to_the_last("a", 1)).is_some()).count();
        assert_eq!((granted, leases.grant_to_the_last("a", 1)), (ahead as usize, None));
    }

    #[tokio::test(start_paused = true)]
    async fn who_only_looks_is_told_what_was_left_until_it_is_little_or_long_ago() {
        let leases = Leases::default();
        assert_eq!(leases.grant("a", 0), None);
        leases.ahead("a");
        leases.drawn("a", 0, NEAR_END);
        assert_eq!(leases.grant("a", 0), Some(NEAR_END));
        wait(100).await;
        assert_eq!(leases.grant("a", 0), None);
        leases.ahead("a");
        leases.drawn("a", 0, NEAR_END - 1);
        assert_eq!(leases.grant("a", 0), None);
    }
}
