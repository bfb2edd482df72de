//! tus `Upload-Metadata`: `key base64` pairs, separated by commas; a key may stand without a value (tus creation).
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::error::Error;

const BYTES: usize = 8 * 1024;

/// What the platform reads of the metadata.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Value of `filename`.
    pub(crate) file_name: Option<String>,
    /// Value of `filetype`.
    pub(crate) file_type: Option<String>,
}

impl Metadata {
    /// Reads the header, strictly.
    pub(crate) fn parse(raw: &str) -> Result<Self, Error> {
        if raw.len() > BYTES {
            return Err(Error::MetadataInvalid("is longer than 8 KiB"));
        }
        let mut found = Self::default();
        let mut keys = Vec::new();
        for pair in raw.split(',').filter(|_| !raw.is_empty()) {
            let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
            if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(Error::MetadataInvalid("has a key that is empty or not ASCII"));
            }
            if keys.contains(&key) {
                return Err(Error::MetadataInvalid("has a key twice"));
            }
            keys.push(key);
            let value = STANDARD.decode(value).map_err(|_| Error::MetadataInvalid("has a value that is not base64"))?;
            let text = || String::from_utf8(value).map_err(|_| Error::MetadataInvalid("has a value that is not UTF-8"));
            match key {
                "filename" => found.file_name = Some(text()?),
                "filetype" => found.file_type = Some(text()?),
                _ => {}
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_and_faults_are_named() {
        let read = Metadata::parse("filename w7YudHh0,empty,filetype dGV4dC9wbGFpbg==").expect("valid");
        assert_eq!(read, Metadata { file_name: Some("ö.txt".to_owned()), file_type: Some("text/plain".to_owned()) });
        assert_eq!(Metadata::parse("").expect("none"), Metadata::default());
        for bad in ["a Zg==,a Zg==", "a !!", ",", "a Zg==,", "filename /w==", &"x".repeat(9000)] {
            assert!(Metadata::parse(bad).is_err(), "{bad:.20}");
        }
    }
}
