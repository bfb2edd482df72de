//! The rotation of refresh tokens as a pure decision.
//!
//! Nothing is stored per token: a token is a counter under a MAC, the session row holds the newest counter, when it was reached
//! and whether its access token was ever used. A client that lost our answer may ask again with the token before: it gets
//! the same successor. The window belongs to the rotation, not to the last question, so that asking does not prolong it.
use time::{Duration, OffsetDateTime};

use super::RefreshMode;

/// What the session row knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefreshState {
    /// Counter of the newest refresh token given out.
    pub(crate) counter: i64,
    /// When that counter was reached.
    pub(crate) rotated_time: OffsetDateTime,
    /// An access token of that counter has been used, so its refresh token has arrived.
    pub(crate) confirmed: bool,
}

/// What to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// The newest token: give its successor, with this counter.
    Rotate(i64),
    /// The one before, within its window: give the same successor again.
    Repeat(i64),
    /// A token that was replaced: somebody has a copy, end the session.
    Reuse,
    /// A counter that the row has not reached: the row came from a backup. Refuse, and alert.
    Ahead,
}

/// Decides about a presented counter. A strict client has no window; one that keeps its token gets the same again.
pub(crate) fn decide(
    state: &RefreshState,
    presented: i64,
    now: OffsetDateTime,
    window: Duration,
    mode: RefreshMode,
) -> Refresh {
    let lost = || mode != RefreshMode::Strict && (!state.confirmed || now - state.rotated_time <= window);
    match state.counter - presented {
        0 if mode == RefreshMode::Keep => Refresh::Repeat(state.counter),
        0 => Refresh::Rotate(state.counter + 1),
        1 if lost() => Refresh::Repeat(state.counter),
        behind if behind < 0 => Refresh::Ahead,
        _ => Refresh::Reuse,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::seconds(30);

    fn state(confirmed: bool) -> RefreshState {
        RefreshState { counter: 7, rotated_time: OffsetDateTime::UNIX_EPOCH, confirmed }
    }

    fn decide(state: &RefreshState, presented: i64, now: OffsetDateTime, window: Duration) -> Refresh {
        super::decide(state, presented, now, window, RefreshMode::Window)
    }

    fn after(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds)
    }

    #[test]
    fn auth_s03_s04_the_window_belongs_to_the_rotation() {
        assert_eq!(decide(&state(true), 7, after(900), WINDOW), Refresh::Rotate(8));
        assert_eq!(decide(&state(true), 6, after(30), WINDOW), Refresh::Repeat(7));
        assert_eq!(decide(&state(true), 6, after(31), WINDOW), Refresh::Reuse);
        assert_eq!(decide(&state(false), 6, after(300), WINDOW), Refresh::Repeat(7));
        assert_eq!(decide(&state(false), 5, after(1), WINDOW), Refresh::Reuse);
        assert_eq!(decide(&state(false), 8, after(1), WINDOW), Refresh::Ahead);
    }

    #[test]
    fn auth_s05_a_strict_client_has_no_window_and_one_that_keeps_its_token_never_changes_it() {
        let decide = |presented, mode| super::decide(&state(false), presented, after(1), WINDOW, mode);
        assert_eq!(decide(7, RefreshMode::Strict), Refresh::Rotate(8));
        assert_eq!(decide(6, RefreshMode::Strict), Refresh::Reuse);
        assert_eq!(decide(7, RefreshMode::Keep), Refresh::Repeat(7));
        assert_eq!(decide(5, RefreshMode::Keep), Refresh::Reuse);
    }

    proptest! {
        #[test]
        fn a_token_two_steps_old_never_lives(counter in 2i64..1_000_000, behind in 2i64..1_000_000, seconds in 0i64..1_000_000, confirmed: bool) {
            prop_assume!(behind <= counter);
            let state = RefreshState { counter, rotated_time: OffsetDateTime::UNIX_EPOCH, confirmed };
            prop_assert_eq!(decide(&state, counter - behind, after(seconds), WINDOW), Refresh::Reuse);
        }
    }
}
