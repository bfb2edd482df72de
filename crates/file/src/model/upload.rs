//! An upload in progress.
use api::{Id, UserId};
use time::OffsetDateTime;

use super::{FileName, Metadata, UploadName, display_name};
use crate::{config::Config, error::Error};

/// An upload as it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// Full length in bytes.
    pub(crate) length: i64,
    /// `Upload-Metadata` as it came.
    pub(crate) raw_metadata: String,
    /// File name.
    pub(crate) display_name: String,
    /// Media type.
    pub(crate) media_type: String,
}

impl Draft {
    /// Checks what was sent. Name and type come from the metadata when their own fields are empty.
    /// A length that is absent is not a length of 0: an upload without one would end before it began.
    pub(crate) fn parse(
        length: Option<i64>,
        raw_metadata: String,
        name: &str,
        media_type: &str,
    ) -> Result<Self, Error> {
        let length = length.filter(|length| *length >= 0).ok_or(Error::LengthInvalid)?;
        let metadata = Metadata::parse(&raw_metadata)?;
        let named = metadata.file_name.as_deref().filter(|name| !name.is_empty()).unwrap_or("unnamed");
        let name = if name.is_empty() { named } else { name };
        let media_type =
            if media_type.is_empty() { metadata.file_type.unwrap_or_default() } else { media_type.to_owned() };
        let media_type = if media_type.is_empty() { "application/octet-stream".to_owned() } else { media_type };
        if media_type.len() > 255
            || !media_type.bytes().all(|byte| (b' '..=b'~').contains(&byte))
            || !media_type.contains('/')
        {
            let problem = "is no media type; send `type/subtype`, at most 255 characters";
            return Err(api::Error::invalid_field("upload.media_type", problem).into());
        }
        Ok(Self { length, display_name: display_name(name)?, media_type, raw_metadata })
    }

    /// Checks it against the settings.
    pub(crate) fn allowed(self, config: &Config) -> Result<Self, Error> {
        let limit = i64::try_from(config.size_max.bytes()).unwrap_or(i64::MAX);
        if self.length > limit {
            return Err(Error::TooLarge { limit });
        }
        let essence = self.media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let refused = |rule: &String| match rule.strip_suffix("/*") {
            Some(kind) => essence.split('/').next().is_some_and(|own| own.eq_ignore_ascii_case(kind)),
            None => rule.eq_ignore_ascii_case(&essence),
        };
        if config.refused_types.iter().any(refused) { Err(Error::TypeRefused(essence)) } else { Ok(self) }
    }
}

/// An upload.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    /// Its name.
    pub(crate) name: UploadName,
    /// Where its bytes lie; never used twice.
    pub(crate) content: Id,
    /// Who uploads.
    pub(crate) owner: UserId,
    /// What is uploaded.
    pub(crate) draft: Draft,
    /// Durable bytes.
    pub(crate) offset: i64,
    /// It has become a file.
    pub(crate) complete: bool,
    /// When it was created.
    pub(crate) create_time: OffsetDateTime,
    /// When it is dropped.
    pub(crate) expire_time: OffsetDateTime,
}

impl Upload {
    /// The file it is or will be.
    pub(crate) fn file(&self) -> FileName {
        FileName { organization: self.name.organization, file: self.name.upload }
    }

    /// All its bytes are there; a file may be made of them.
    pub(crate) fn is_whole(&self) -> bool {
        self.offset == self.draft.length
    }

    /// Bytes may be appended at `offset`.
    pub(crate) fn continues_at(&self, offset: i64) -> Result<(), Error> {
        if offset != self.offset {
            return Err(Error::OffsetMismatch { current: self.offset });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_type_come_from_the_metadata() {
        let draft =
            Draft::parse(Some(1), "filename YS50eHQ=,filetype dGV4dC9wbGFpbg==".to_owned(), "", "").expect("valid");
        assert_eq!((draft.display_name.as_str(), draft.media_type.as_str()), ("a.txt", "text/plain"));
        let own = Draft::parse(Some(1), "filename YS50eHQ=".to_owned(), "b.txt", "").expect("valid");
        assert_eq!((own.display_name.as_str(), own.media_type.as_str()), ("b.txt", "application/octet-stream"));
        assert!(Draft::parse(Some(-1), String::new(), "a", "").is_err());
        assert!(Draft::parse(None, String::new(), "a", "").is_err());
        assert!(Draft::parse(Some(1), String::new(), "a", "no type").is_err());
        assert_eq!(Draft::parse(Some(1), "filename".to_owned(), "", "").expect("no name").display_name, "unnamed");
    }

    #[test]
    fn refused_types_and_lengths_are_named() {
        let config = Config { refused_types: vec!["image/*".to_owned(), "Text/HTML".to_owned()], ..Config::default() };
        let draft = |kind: &str| Draft::parse(Some(1), String::new(), "a", kind).expect("valid");
        assert!(draft("image/png").allowed(&config).is_err());
        assert!(draft("text/html; charset=utf-8").allowed(&config).is_err());
        assert!(draft("text/plain").allowed(&config).is_ok());
        assert!(Draft::parse(Some(i64::MAX), String::new(), "a", "").expect("valid").allowed(&config).is_err());
    }
}
