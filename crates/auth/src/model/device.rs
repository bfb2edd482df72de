//! Device authorization (RFC 8628): the code that a person types, and the answer to a poll.
use time::{Duration, OffsetDateTime};

/// Life of both codes.
pub(crate) const DEVICE_LIFE: Duration = Duration::minutes(10);
/// Least time between two polls at the beginning, in seconds; a poll that comes too fast adds as much.
pub(crate) const POLL_INTERVAL: i32 = 5;
/// Wrong codes of one session or network, after which it must wait.
pub(crate) const WRONG_CODES: i32 = 10;
/// How long it must wait.
pub(crate) const WRONG_CODES_FOR: Duration = Duration::minutes(10);
/// Consonants that are not taken for each other, and form no words (RFC 8628 section 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LENGTH: usize = 8;

/// A user code, as typed without its hyphen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserCode(String);

impl UserCode {
    /// A code out of random bytes; `None` when they would favour some letters.
    pub(crate) fn of_random(bytes: &[u8; LENGTH]) -> Option<Self> {
        let fair = bytes.iter().all(|byte| *byte < 240);
        fair.then(|| Self(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 20)])).collect()))
    }

    /// Reads what a person typed: case, blanks and punctuation do not matter.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let typed: String = text
            .chars()
            .take(64)
            .filter(char::is_ascii_alphanumeric)
            .map(|letter| letter.to_ascii_uppercase())
            .collect();
        (typed.len() == LENGTH && typed.bytes().all(|letter| LETTERS.contains(&letter))).then_some(Self(typed))
    }

    /// Without hyphen, for its digest.
    pub(crate) fn bare(&self) -> &str {
        &self.0
    }

    /// As it is shown.
    pub(crate) fn shown(&self) -> String {
        format!("{}-{}", &self.0[..LENGTH / 2], &self.0[LENGTH / 2..])
    }
}

/// What became of a device's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceState {
    /// Nobody has decided.
    Waits = 1,
    /// Let in.
    Approved = 2,
    /// Not.
    Denied = 3,
}

impl DeviceState {
    /// The state with this number.
    pub(crate) fn of_number(number: i16) -> Option<Self> {
        [Self::Waits, Self::Approved, Self::Denied].into_iter().find(|state| *state as i16 == number)
    }
}

/// Answer to a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poll {
    /// Tokens.
    Grant,
    /// `authorization_pending`.
    Pending,
    /// `slow_down`: the interval becomes this.
    SlowDown(i32),
    /// `access_denied`.
    Denied,
    /// `expired_token`.
    Expired,
}

/// Decides about a poll.
pub(crate) fn poll(
    state: DeviceState,
    interval: i32,
    last: Option<OffsetDateTime>,
    expire_time: OffsetDateTime,
    now: OffsetDateTime,
) -> Poll {
    if now >= expire_time {
        return Poll::Expired;
    }
    if last.is_some_and(|last| now - last < Duration::seconds(interval.into())) {
        return Poll::SlowDown(interval.saturating_add(POLL_INTERVAL).min(300));
    }
    match state {
        DeviceState::Waits => Poll::Pending,
        DeviceState::Approved => Poll::Grant,
        DeviceState::Denied => Poll::Denied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_code_reads_back_however_it_is_typed() {
        let code = UserCode::of_random(&[0, 21, 42, 63, 84, 105, 126, 239]).expect("all below 240");
        assert_eq!(code.shown(), "BCDF-GHJZ");
        for typed in ["BCDF-GHJZ", "bcdfghjz", " bcdf ghjz. "] {
            assert_eq!(UserCode::parse(typed).as_ref(), Some(&code), "{typed}");
        }
        for wrong in ["", "BCDF-GHJ", "BCDF-GHJZZ", "ACDF-GHJZ", "BCDF-GHJ2", "ВCDF-GHJZ"] {
            assert_eq!(UserCode::parse(wrong), None, "{wrong}");
        }
        assert_eq!(UserCode::of_random(&[240, 0, 0, 0, 0, 0, 0, 0]), None, "the last letters would be rarer");
    }

    #[test]
    fn auth_o15_a_poll_is_answered_by_state_and_pace() {
        let at = |seconds| OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds);
        let ask = |state, last: Option<i64>, now| poll(state, 5, last.map(at), at(600), at(now));
        assert_eq!(ask(DeviceState::Waits, None, 0), Poll::Pending);
        assert_eq!(ask(DeviceState::Waits, Some(0), 5), Poll::Pending);
        assert_eq!(ask(DeviceState::Approved, Some(0), 4), Poll::SlowDown(10));
        assert_eq!(ask(DeviceState::Approved, Some(0), 5), Poll::Grant);
        assert_eq!(ask(DeviceState::Denied, None, 599), Poll::Denied);
        assert_eq!(ask(DeviceState::Approved, None, 600), Poll::Expired);
    }
}
