//! The mark of a device that has signed a user in: it lets his own attempts be counted apart from those of strangers.
//!
//! It is no credential: with it alone nobody gets in. It is bound to the user by a MAC and good for 180 days.
use api::UserId;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;
use time::{Duration, OffsetDateTime};

use super::hmac;

const PREFIX: &str = "wos_dv_";
const LIFE: Duration = Duration::days(180);
const MAC: usize = 16;

/// Writes and reads marks.
pub(crate) struct DeviceKey([u8; 32]);

impl DeviceKey {
    /// With a key of its own.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// A mark for a user, from now on.
    pub(crate) fn write(&self, user: UserId, now: OffsetDateTime) -> String {
        let issued = now.unix_timestamp().to_be_bytes();
        let bytes = [issued.as_slice(), &self.mac(user, &issued)].concat();
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The mark is ours, of this user, and not too old.
    pub(crate) fn is_of(&self, mark: &str, user: UserId, now: OffsetDateTime) -> bool {
        let bytes = mark
            .strip_prefix(PREFIX)
            .filter(|rest| rest.len() == 32)
            .and_then(|rest| URL_SAFE_NO_PAD.decode(rest).ok());
        let Some((issued, mac)) = bytes.as_deref().and_then(|bytes| bytes.split_first_chunk::<8>()) else {
            return false;
        };
        let age = now.unix_timestamp().saturating_sub(i64::from_be_bytes(*issued));
        bool::from(self.mac(user, issued).ct_eq(mac)) && (0..=LIFE.whole_seconds()).contains(&age)
    }

    fn mac(&self, user: UserId, issued: &[u8; 8]) -> [u8; MAC] {
        let mac = hmac(&self.0, &[b"device", user.uuid().as_bytes(), issued]);
        mac.first_chunk().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_p07_a_mark_is_good_for_its_user_and_half_a_year() {
        let ids = api::Ids::default();
        let (key, user, other) = (DeviceKey::new([7; 32]), UserId(ids.next()), UserId(ids.next()));
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("in range");
        let mark = key.write(user, now);
        assert!(key.is_of(&mark, user, now) && key.is_of(&mark, user, now + LIFE));
        assert!(!key.is_of(&mark, other, now) && !key.is_of(&mark, user, now + LIFE + Duration::SECOND));
        assert!(!DeviceKey::new([8; 32]).is_of(&mark, user, now));
        for wrong in ["", PREFIX, &mark[1..], &format!("{mark}A"), &format!("{PREFIX}{}", "A".repeat(32))] {
            assert!(!key.is_of(wrong, user, now), "{wrong}");
        }
    }
}
