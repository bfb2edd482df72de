//! Passkeys as their user sees them.
use api::{Id, UserId};
use time::OffsetDateTime;

/// Passkeys that a user may have.
pub(crate) const PASSKEYS_MAX: usize = 20;

api::resource_name!(
    /// Name of a passkey.
    pub(crate) struct PasskeyName { user: UserId, passkey: Id } = "users/*/passkeys/*"
);

/// A passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passkey {
    /// Whose.
    pub(crate) user: UserId,
    /// Id.
    pub(crate) id: Id,
    /// Name shown to its user.
    pub(crate) display_name: String,
    /// Its counter went back: it counts no more.
    pub(crate) disabled: bool,
    /// Counts changes from 1; gives the etag.
    pub(crate) version: i64,
    /// When it was registered.
    pub(crate) create_time: OffsetDateTime,
    /// When it last served a sign-in.
    pub(crate) last_use_time: Option<OffsetDateTime>,
}

impl Passkey {
    /// Its name.
    pub(crate) fn name(&self) -> PasskeyName {
        PasskeyName { user: self.user, passkey: self.id }
    }
}
