//! Second factors: authenticator apps and the set of recovery codes.
use api::{Id, UserId};
use time::OffsetDateTime;

/// Authenticator apps that a user may have.
pub(crate) const TOTP_MAX: usize = 5;
/// Codes of a set.
pub(crate) const RECOVERY_CODES: usize = 10;

api::resource_name!(
    /// Name of a second factor.
    pub(crate) struct FactorName { user: UserId, factor: Id } = "users/*/mfaFactors/*"
);

/// What a factor is; the numbers are those of the contract and of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FactorKind {
    /// Codes of an authenticator app.
    Totp = 1,
    /// The set of recovery codes.
    Recovery = 2,
}

impl FactorKind {
    /// The kind with this number.
    pub(crate) fn of_number(number: i16) -> Option<Self> {
        [Self::Totp, Self::Recovery].into_iter().find(|kind| *kind as i16 == number)
    }
}

/// A second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MfaFactor {
    /// Whose.
    pub(crate) user: UserId,
    /// Id.
    pub(crate) id: Id,
    /// What it is.
    pub(crate) kind: FactorKind,
    /// Name shown to its user.
    pub(crate) display_name: String,
    /// It counts for sign-ins.
    pub(crate) confirmed: bool,
    /// Recovery codes that are still good; 0 for an app.
    pub(crate) remaining: i64,
    /// When it was created.
    pub(crate) create_time: OffsetDateTime,
    /// When it last served a sign-in.
    pub(crate) last_use_time: Option<OffsetDateTime>,
}

/// Ways to answer for a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecondFactor {
    /// Code of an app.
    Totp,
    /// A recovery code.
    Recovery,
    /// A passkey.
    Passkey,
}

/// What a user has to answer with; empty when sign-ins ask for no second factor. Recovery codes alone are none: they stand in for a
/// factor that is lost, or for a passkey that was disabled, so that disabling one does not lower the bar. `passkeys` says of each whether
/// it is in force.
pub(crate) fn second_factors(factors: &[MfaFactor], passkeys: &[bool]) -> Vec<SecondFactor> {
    let has_app = factors.iter().any(|factor| factor.kind == FactorKind::Totp && factor.confirmed);
    let has_codes = factors.iter().any(|factor| factor.kind == FactorKind::Recovery && factor.remaining > 0);
    let required = has_app || !passkeys.is_empty();
    let mut found = Vec::new();
    if has_app {
        found.push(SecondFactor::Totp);
    }
    if passkeys.contains(&true) {
        found.push(SecondFactor::Passkey);
    }
    if required && (has_codes || found.is_empty()) {
        found.push(SecondFactor::Recovery);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factor(kind: FactorKind, confirmed: bool, remaining: i64) -> MfaFactor {
        let (user, id, create_time) = (UserId(Id::ZERO), Id::ZERO, OffsetDateTime::UNIX_EPOCH);
        MfaFactor {
            user,
            id,
            kind,
            display_name: String::new(),
            confirmed,
            remaining,
            create_time,
            last_use_time: None,
        }
    }

    #[test]
    fn what_is_asked_for_is_what_can_be_answered_and_never_less_than_was_set_up() {
        use SecondFactor::{Passkey, Recovery, Totp};
        let (app, pending) = (factor(FactorKind::Totp, true, 0), factor(FactorKind::Totp, false, 0));
        let (codes, used_up) = (factor(FactorKind::Recovery, true, 3), factor(FactorKind::Recovery, true, 0));
        assert_eq!(second_factors(&[pending, codes.clone()], &[]), []);
        assert_eq!(second_factors(&[app.clone(), codes.clone()], &[]), [Totp, Recovery]);
        assert_eq!(second_factors(&[app, used_up.clone()], &[true]), [Totp, Passkey]);
        assert_eq!(second_factors(&[codes], &[false]), [Recovery]);
        assert_eq!(second_factors(&[used_up], &[false]), [Recovery], "nothing can answer, so nobody gets in");
    }
}
