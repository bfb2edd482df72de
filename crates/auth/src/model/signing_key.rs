//! The life of signing keys: announced, active, retiring, gone.
//!
//! A key is published before it signs, so that no verifier meets a signature by a key that it cannot know; and it is published
//! until the last of what it signed has expired, so that nothing good is refused. Both are a matter of times that are fixed when
//! the successor is announced, hence every replica sees the same states without talking to another.
use time::{Duration, OffsetDateTime};

/// Time between the announcement of a key and its first signature: verifiers and caches look every 5 minutes at most.
pub(crate) const ANNOUNCED_FOR: Duration = Duration::minutes(10);

/// State of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyState {
    /// Published; signs nothing yet, and what it signs is refused.
    Announced,
    /// Signs.
    Active,
    /// Verifies alone.
    Retiring,
    /// Does not exist any more.
    Gone,
}

/// The times of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyTimes {
    /// From when on it signs.
    pub(crate) activate: OffsetDateTime,
    /// From when on it is gone; none while it has no successor.
    pub(crate) expire: Option<OffsetDateTime>,
}

impl KeyTimes {
    /// What it is published for now.
    pub(crate) fn verifies(&self, now: OffsetDateTime) -> bool {
        self.activate <= now && !self.is_gone(now)
    }

    /// It is gone.
    pub(crate) fn is_gone(&self, now: OffsetDateTime) -> bool {
        self.expire.is_some_and(|expire| expire <= now)
    }
}

/// The youngest of these keys that may sign now.
pub(crate) fn active<T>(keys: &[(KeyTimes, T)], now: OffsetDateTime) -> Option<&T> {
    let signing = keys.iter().filter(|(times, _)| times.verifies(now));
    signing.max_by_key(|(times, _)| times.activate).map(|(_, key)| key)
}

/// States of the keys of one kind, in the order given: the youngest that may sign is the active one.
pub(crate) fn states(keys: &[KeyTimes], now: OffsetDateTime) -> Vec<KeyState> {
    let active = keys.iter().filter(|key| key.verifies(now)).map(|key| key.activate).max();
    let state = |key: &KeyTimes| match () {
        () if key.is_gone(now) => KeyState::Gone,
        () if key.activate > now => KeyState::Announced,
        () if Some(key.activate) == active => KeyState::Active,
        () => KeyState::Retiring,
    };
    keys.iter().map(state).collect()
}

/// When the next key of this kind shall begin to sign, if it is to be announced now. `early`: whatever the age of the present one.
pub(crate) fn successor(keys: &[KeyTimes], age: Duration, early: bool, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let youngest = keys.iter().map(|key| key.activate).max()?;
    let due = youngest <= now && (early || now - youngest >= age - ANNOUNCED_FOR);
    due.then_some(now + ANNOUNCED_FOR)
}

/// Who signs when a key of the kind was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Succession {
    /// It did not sign, and was not to: all stays.
    Stays,
    /// The one at this place of the rest, which was announced, begins now.
    Begins(usize),
    /// None was announced: one is made that signs at once, whether verifiers know it yet or not.
    Made,
    /// It was announced itself: another is, and the one at this place of the rest goes on until then.
    Announced(usize),
}

/// What follows when a key was revoked; the others of its kind, none of them gone, are the rest.
pub(crate) fn succession(revoked: KeyTimes, rest: &[KeyTimes], now: OffsetDateTime) -> Succession {
    let youngest = |announced: bool| {
        let of_state = rest.iter().enumerate().filter(|(_, key)| (key.activate > now) == announced);
        of_state.max_by_key(|(_, key)| key.activate).map(|(place, key)| (place, key.activate))
    };
    match (youngest(false), youngest(true)) {
        _ if revoked.is_gone(now) => Succession::Stays,
        (Some((place, _)), None) if revoked.activate > now => Succession::Announced(place),
        (Some((_, signs)), _) if revoked.activate < signs => Succession::Stays,
        (_, Some((place, _))) if revoked.activate <= now => Succession::Begins(place),
        (Some(_), Some(_)) => Succession::Stays,
        (_, _) => Succession::Made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::minutes(minutes)
    }

    #[test]
    fn auth_j09_a_key_goes_through_its_states_by_time_alone() {
        let keys = [KeyTimes { activate: at(0), expire: Some(at(130)) }, KeyTimes { activate: at(110), expire: None }];
        for (minute, first, second) in [
            (100, KeyState::Active, KeyState::Announced),
            (109, KeyState::Active, KeyState::Announced),
            (110, KeyState::Retiring, KeyState::Active),
            (129, KeyState::Retiring, KeyState::Active),
            (130, KeyState::Gone, KeyState::Active),
        ] {
            assert_eq!(states(&keys, at(minute)), [first, second], "{minute}");
        }
    }

    #[test]
    fn auth_b03_whichever_key_is_revoked_another_signs() {
        let key = |activate, expire: Option<i64>| KeyTimes { activate: at(activate), expire: expire.map(at) };
        let (retiring, active, alone) = (key(0, Some(150)), key(100, Some(250)), key(100, None));
        let announced = key(200, None);
        for (revoked, rest, wanted) in [
            (alone, vec![], Succession::Made),
            (alone, vec![retiring], Succession::Made),
            (active, vec![retiring, announced], Succession::Begins(1)),
            (retiring, vec![alone], Succession::Stays),
            (retiring, vec![active, announced], Succession::Stays),
            (announced, vec![retiring, active], Succession::Announced(1)),
            (key(0, Some(120)), vec![alone], Succession::Stays),
        ] {
            assert_eq!(succession(revoked, &rest, at(140)), wanted, "{revoked:?} {rest:?}");
        }
    }

    #[test]
    fn a_successor_is_announced_once_and_in_time() {
        let age = Duration::minutes(100);
        let keys = [KeyTimes { activate: at(0), expire: None }];
        assert_eq!(successor(&keys, age, false, at(89)), None);
        assert_eq!(successor(&keys, age, false, at(90)), Some(at(100)));
        assert_eq!(successor(&keys, age, true, at(1)), Some(at(11)));
        let announced = [keys[0], KeyTimes { activate: at(100), expire: None }];
        assert_eq!(successor(&announced, age, true, at(91)), None, "one is on its way");
        assert_eq!(successor(&[], age, true, at(0)), None);
    }
}
