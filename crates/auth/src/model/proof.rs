//! What a sign-in has proven, and how strong that is.
//!
//! Methods are named as RFC 8176 names them; `mfa` among them stands for two different factors, or for a passkey that verified its
//! user, and is what lifts the class to 2.
use api::UserId;
use time::OffsetDateTime;

/// Somebody who proved to be himself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    /// Who.
    pub(crate) user: UserId,
    /// Version of his credentials, read with what was tested: once it has moved the proof is worth nothing.
    pub(crate) version: i64,
    /// When.
    pub(crate) time: OffsetDateTime,
    /// How.
    pub(crate) amr: Vec<String>,
}

impl Proof {
    /// The proof with a second factor beside the first.
    pub(crate) fn and(mut self, method: &str, now: OffsetDateTime) -> Self {
        for method in [method, "mfa"] {
            if !self.amr.iter().any(|known| known == method) {
                self.amr.push(method.to_owned());
            }
        }
        Self { time: now, ..self }
    }
}

/// Authentication context class: 1 one factor, 2 two; 0 for no sign-in.
pub(crate) fn acr(amr: &[String]) -> u32 {
    match amr {
        [] => 0,
        methods if methods.iter().any(|method| method == "mfa") => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_factors_are_class_two() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let proof = Proof { user: UserId(api::Id::ZERO), version: 0, time: now, amr: vec!["pwd".to_owned()] };
        assert_eq!((acr(&[]), acr(&proof.amr)), (0, 1));
        let both = proof.and("otp", now + time::Duration::MINUTE);
        assert_eq!((both.amr.join(" "), acr(&both.amr)), ("pwd otp mfa".to_owned(), 2));
        assert_eq!(both.time, now + time::Duration::MINUTE);
    }
}
