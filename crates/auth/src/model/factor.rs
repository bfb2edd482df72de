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
}

/// What a user has to answer with; empty when sign-ins ask for no second factor. Recovery codes alone are none: they stand in for a
/// factor that is lost.
pub(crate) fn second_factors(factors: &[MfaFactor]) -> Vec<SecondFactor> {
    let mut found = Vec::new();
    if factors.iter().any(|factor| factor.kind == FactorKind::Totp && factor.confirmed) {
        found.push(SecondFactor::Totp);
    }
    if !found.is_empty() && factors.iter().any(|factor| factor.kind == FactorKind::Recovery && factor.remaining > 0) {
        found.push(SecondFactor::Recovery);
    }
    found
}
