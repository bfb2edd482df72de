//! Deliveries and attempts: what follows from how an attempt ended.
use std::time::Duration;

use api::UserId;
use time::OffsetDateTime;

use super::{Category, DeliveryName, Uncertain};

/// State of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeliveryState {
    /// Waits for its next attempt.
    Pending,
    /// Accepted by the receiver.
    Sent,
    /// Sent, but no answer came.
    Uncertain,
    /// Given up.
    Dead,
    /// Not sent, because there is nobody to send it to.
    Suppressed,
}

impl DeliveryState {
    const ALL: [Self; 5] = [Self::Pending, Self::Sent, Self::Uncertain, Self::Dead, Self::Suppressed];

    /// Its number in the database.
    pub(crate) fn number(self) -> i16 {
        match self {
            Self::Pending => 1,
            Self::Sent => 2,
            Self::Uncertain => 3,
            Self::Dead => 4,
            Self::Suppressed => 5,
        }
    }

    /// Reads a number of the database.
    pub(crate) fn of_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// Its name in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Uncertain => "uncertain",
            Self::Dead => "dead",
            Self::Suppressed => "suppressed",
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The receiver has it.
    Accepted,
    /// The receiver said: later.
    RejectedTemporary,
    /// The receiver said: never.
    RejectedPermanent,
    /// It failed before the mail was out.
    NotSent,
    /// The mail was out, and no answer came.
    Uncertain,
}

impl Class {
    /// Its number in the database, where 1 is an attempt whose end is not known yet.
    pub(crate) fn number(self) -> i16 {
        match self {
            Self::Accepted => 2,
            Self::RejectedTemporary => 3,
            Self::RejectedPermanent => 4,
            Self::NotSent => 5,
            Self::Uncertain => 6,
        }
    }

    /// Its name in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::RejectedTemporary => "rejected_temporary",
            Self::RejectedPermanent => "rejected_permanent",
            Self::NotSent => "not_sent",
            Self::Uncertain => "uncertain",
        }
    }
}

/// How an attempt ended, and why in words for administrators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The class.
    pub(crate) class: Class,
    /// Why it failed; empty when accepted.
    pub(crate) detail: String,
}

impl Verdict {
    /// The receiver has it.
    pub(crate) fn accepted() -> Self {
        Self { class: Class::Accepted, detail: String::new() }
    }

    /// It failed so.
    pub(crate) fn failed(class: Class, detail: impl Into<String>) -> Self {
        Self { class, detail: detail.into() }
    }
}

/// What becomes of a delivery after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is at rest.
    Rest(DeliveryState),
    /// It is tried again later.
    Retry,
}

/// What becomes of a delivery whose attempt ended so, with so many tries left.
pub(crate) fn after_attempt(category: Category, class: Class, tries_left: i16) -> Fate {
    let again = tries_left > 0;
    match class {
        Class::Accepted => Fate::Rest(DeliveryState::Sent),
        Class::RejectedPermanent => Fate::Rest(DeliveryState::Dead),
        Class::RejectedTemporary | Class::NotSent if again => Fate::Retry,
        Class::RejectedTemporary | Class::NotSent => Fate::Rest(DeliveryState::Dead),
        Class::Uncertain if again && category.when_uncertain() == Uncertain::Resend => Fate::Retry,
        Class::Uncertain => Fate::Rest(DeliveryState::Uncertain),
    }
}

/// Delay before the next attempt after `attempts` of them: exponential, with full jitter. `random` lies in 0..1.
pub(crate) fn delay(base: Duration, most: Duration, attempts: i32, random: f64) -> Duration {
    let doublings = u32::try_from(attempts - 1).unwrap_or_default().min(31);
    base.saturating_mul(1 << doublings).min(most).mul_f64(random.clamp(0.0, 1.0))
}

/// A delivery as administrators see it.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// Name.
    pub(crate) name: DeliveryName,
    /// Who gets it.
    pub(crate) recipient: UserId,
    /// Kind.
    pub(crate) category: String,
    /// State.
    pub(crate) state: DeliveryState,
    /// How often it was tried.
    pub(crate) attempts: i32,
    /// Why the last attempt failed.
    pub(crate) last_error: String,
    /// When it was queued.
    pub(crate) create_time: OffsetDateTime,
    /// When it last changed.
    pub(crate) update_time: OffsetDateTime,
}

/// A delivery as the worker sees it.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// The delivery.
    pub(crate) name: DeliveryName,
    /// Kind.
    pub(crate) category: Category,
    /// State.
    pub(crate) state: DeliveryState,
    /// One line for people.
    pub(crate) title: String,
    /// Resource it is about.
    pub(crate) subject: String,
    /// Message-ID, the same with every attempt.
    pub(crate) message_id: String,
    /// How often it was tried.
    pub(crate) attempts: i32,
    /// How often it may still be tried.
    pub(crate) tries_left: i16,
    /// Events published about it.
    pub(crate) version: i64,
    /// The last attempt was begun and nothing is known of its end.
    pub(crate) is_open: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_surely_was_not_sent_is_tried_again_in_every_category() {
        for category in [Category::DocumentShared, Category::TaskCreated] {
            for class in [Class::RejectedTemporary, Class::NotSent] {
                assert_eq!(after_attempt(category, class, 1), Fate::Retry);
                assert_eq!(after_attempt(category, class, 0), Fate::Rest(DeliveryState::Dead));
            }
            assert_eq!(after_attempt(category, Class::RejectedPermanent, 7), Fate::Rest(DeliveryState::Dead));
            assert_eq!(after_attempt(category, Class::Accepted, 0), Fate::Rest(DeliveryState::Sent));
        }
    }

    #[test]
    fn the_category_says_what_becomes_of_the_uncertain() {
        let after = |category, tries| after_attempt(category, Class::Uncertain, tries);
        assert_eq!(after(Category::TaskReminded, 1), Fate::Retry);
        assert_eq!(after(Category::TaskReminded, 0), Fate::Rest(DeliveryState::Uncertain));
        assert_eq!(after(Category::RunEnded, 7), Fate::Rest(DeliveryState::Uncertain));
    }

    #[test]
    fn delays_double_up_to_the_most_and_are_random_below() {
        let (base, most) = (Duration::from_secs(5), Duration::from_secs(3600));
        let longest: Vec<_> = (1..=11).map(|attempts| delay(base, most, attempts, 1.0).as_secs()).collect();
        assert_eq!(longest, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600]);
        assert_eq!(delay(base, most, 3, 0.25).as_secs(), 5);
        assert_eq!(delay(base, most, i32::MAX, 0.0), Duration::ZERO);
    }

    #[test]
    fn states_read_back() {
        for state in DeliveryState::ALL {
            assert_eq!(DeliveryState::of_number(state.number()), Some(state));
        }
        assert_eq!(DeliveryState::of_number(0), None);
    }
}
