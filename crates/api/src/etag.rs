//! Etags (AIP-154, RFC 9110 section 8.8.3): strong tags made from a row's version.
use crate::Error;

/// The etag of a resource.
#[derive(Debug)]
pub struct Etag(());

impl Etag {
    /// The tag of a version.
    #[must_use]
    pub fn of_version(version: i64) -> String {
        format!("\"{version:x}\"")
    }

    /// Compares what the caller sent with the current version. Empty means that the caller does not care.
    ///
    /// # Errors
    /// ETAG_MISMATCH (ABORTED) with the current etag in the metadata.
    pub fn check(sent: &str, current: i64) -> Result<(), Error> {
        if sent.is_empty() || sent == "*" || sent == Self::of_version(current) {
            return Ok(());
        }
        Err(Error::etag_mismatch(&Self::of_version(current)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_etag_names_the_current_one() {
        assert!(Etag::check("", 7).is_ok());
        assert!(Etag::check(&Etag::of_version(7), 7).is_ok());
        let error = Etag::check(&Etag::of_version(6), 7).expect_err("it is stale");
        assert_eq!(error.metadata().get("etag").map(String::as_str), Some("\"7\""));
    }
}
