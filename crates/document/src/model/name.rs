//! Names of this service's resources, and of the files it refers to.
use std::fmt;

use api::{CommonReason, Error, Id, OrganizationId};

api::resource_name!(
    /// Name of a document.
    pub(crate) struct DocumentName { organization: OrganizationId, document: Id } = "organizations/*/documents/*"
);
api::resource_name!(
    /// Name of a grant.
    pub(crate) struct GrantName { organization: OrganizationId, document: Id, grant: Id }
    = "organizations/*/documents/*/grants/*"
);
api::resource_name!(
    /// Name of a file, which the file service owns.
    pub(crate) struct FileName { organization: OrganizationId, file: Id } = "organizations/*/files/*"
);

const REVISION: &str = "organizations/*/documents/*/revisions/*";
const FOLDER: &str = "organizations/*/folders/*";

impl GrantName {
    /// The document that the grant shares.
    pub(crate) fn document(&self) -> DocumentName {
        DocumentName { organization: self.organization, document: self.document }
    }
}

/// Which revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// The newest.
    Head,
    /// The one with this number, from 1.
    At(i64),
}

/// Name of a revision; the last segment is a number or `head`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RevisionName {
    /// The document.
    pub(crate) document: DocumentName,
    /// Which of its revisions.
    pub(crate) number: Number,
}

impl RevisionName {
    /// Reads the name; NAME_INVALID when it has another form.
    pub(crate) fn parse(name: &str) -> Result<Self, Error> {
        let (document, number) = name.rsplit_once("/revisions/").ok_or_else(|| invalid("name", REVISION))?;
        let document = DocumentName::parse(document).map_err(|_| invalid("name", REVISION))?;
        let number = match number {
            "head" => Number::Head,
            digits => Number::At(parse_number(digits).ok_or_else(|| invalid("name", REVISION))?),
        };
        Ok(Self { document, number })
    }
}

/// One number has one spelling, so no sign and no leading zero.
fn parse_number(digits: &str) -> Option<i64> {
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| canonical)
}

impl fmt::Display for RevisionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Number::Head => write!(formatter, "{}/revisions/head", self.document),
            Number::At(number) => write!(formatter, "{}/revisions/{number}", self.document),
        }
    }
}

/// Name of a folder; without an id it is the root folder, which always exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FolderName {
    /// The organization.
    pub(crate) organization: OrganizationId,
    /// The folder; `None` is the root.
    pub(crate) folder: Option<Id>,
}

impl FolderName {
    /// Reads the name out of a request field; NAME_INVALID when it has another form.
    pub(crate) fn parse_field(field: &str, name: &str) -> Result<Self, Error> {
        let root = name.strip_suffix("/folders/root").map(OrganizationId::parse);
        if let Some(organization) = root {
            return Ok(Self { organization: organization.map_err(|_| invalid(field, FOLDER))?, folder: None });
        }
        let [organization, folder] = api::parse_segments(name, FOLDER).map_err(|_| invalid(field, FOLDER))?;
        Ok(Self { organization: OrganizationId(organization), folder: Some(folder) })
    }
}

impl fmt::Display for FolderName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.folder {
            None => write!(formatter, "{}/folders/root", self.organization.name()),
            Some(folder) => write!(formatter, "{}/folders/{folder}", self.organization.name()),
        }
    }
}

fn invalid(field: &str, pattern: &str) -> Error {
    let message = format!("{field} is not a name of the form {pattern}; use the name as the API returned it");
    Error::invalid(CommonReason::NameInvalid, message)
        .with("pattern", pattern)
        .violation(field, format!("must have the form {pattern}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "organizations/00000000000000000000000001/documents/00000000000000000000000002";

    #[test]
    fn a_revision_is_named_by_number_or_head() {
        for number in ["1", "42", "head"] {
            let text = format!("{DOCUMENT}/revisions/{number}");
            assert_eq!(RevisionName::parse(&text).expect("it is a name").to_string(), text);
        }
        for number in ["", "0", "01", "-1", "+1", "1.0", "Head", "99999999999999999999", "1/x"] {
            let error = RevisionName::parse(&format!("{DOCUMENT}/revisions/{number}")).expect_err("it is no name");
            assert_eq!(error.reason(), "NAME_INVALID", "{number}");
        }
    }

    #[test]
    fn the_root_folder_is_named_root() {
        let root = "organizations/00000000000000000000000001/folders/root";
        let name = FolderName::parse_field("folder", root).expect("it is a name");
        assert_eq!((name.folder, name.to_string().as_str()), (None, root));
        for text in [
            "",
            "folders/root",
            "organizations/x/folders/root",
            "organizations/00000000000000000000000001/folders/Root",
        ] {
            assert_eq!(FolderName::parse_field("folder", text).expect_err("no name").reason(), "NAME_INVALID");
        }
    }
}
