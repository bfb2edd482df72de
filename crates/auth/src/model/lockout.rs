//! Delays after wrong answers: the first five attempts are free, then 30 s, doubling up to one hour, and an end.
//!
//! A counter belongs to a factor, to who is guessed at, whether he exists or not, and to a class of devices: an owner on a device
//! that has signed him in before is counted apart, so guesses from elsewhere do not shut him out. Who is signed in and is asked for his
//! password once more is counted by his session, as on a known device. An attempt takes a place before it is
//! looked at, so a thousand parallel guesses are five; one that was right gives its place back, so honest parallel sign-ins only
//! wait for each other. The limits of NIST SP 800-63B-4 section 3.2.2 hold: 90 failures from unknown devices and 10 from known ones.
use time::Duration;

/// Attempts that need no waiting.
pub(crate) const LOCKOUT_FREE: i32 = 5;
/// Numbers of failures that have a delay of their own; later ones have that of the last.
pub(crate) const LOCKOUT_STEPS: i32 = LOCKOUT_FREE + 8;

/// How long the next attempt must wait after this many failures in a row.
pub(crate) fn lockout_delay(failures: i32) -> Duration {
    if failures < LOCKOUT_FREE {
        return Duration::ZERO;
    }
    let doublings = u32::try_from(failures - LOCKOUT_FREE).unwrap_or_default().min(7);
    Duration::seconds((30 << doublings).min(3600))
}

/// What is guessed; each has counters of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Factor {
    /// The password, by the address as typed.
    Password,
    /// Codes of authenticator apps, by user.
    Totp,
    /// Recovery codes, by user.
    Recovery,
}

impl Factor {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Password, Self::Totp, Self::Recovery];

    /// Word in the key of a counter.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Totp => "totp",
            Self::Recovery => "recovery",
        }
    }
}

/// Where an attempt comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceClass {
    /// It has not signed this user in before, or does not say so.
    Unknown,
    /// It holds the mark of an earlier full sign-in of this user.
    Known,
}

impl DeviceClass {
    /// Failures in a row after which the factor is shut until it is reset.
    pub(crate) fn most_failures(self) -> i32 {
        match self {
            Self::Unknown => 90,
            Self::Known => 10,
        }
    }

    /// Word in the key of a counter.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Known => "known",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_p06_delays_grow_from_thirty_seconds_to_an_hour() {
        let delays: Vec<_> = (0..=13).map(|failures| lockout_delay(failures).whole_seconds()).collect();
        assert_eq!(delays, [0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(lockout_delay(i32::MAX), lockout_delay(LOCKOUT_STEPS));
    }

    #[test]
    fn auth_p06_the_classes_together_allow_a_hundred_failures() {
        assert_eq!(DeviceClass::Known.most_failures() + DeviceClass::Unknown.most_failures(), 100);
    }
}
