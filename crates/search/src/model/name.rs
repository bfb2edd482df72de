//! Names of what is searched. The index knows resources of other services only by name.
use std::fmt;

use api::{Id, OrganizationId};

/// Kind of a searched resource, and so its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A document of the document service.
    Document,
    /// A file of the file service.
    File,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Document, Self::File];

    /// The word that stands for it in requests, and the service that owns it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::File => "file",
        }
    }

    /// Who holds this permission by a role reads all of the kind.
    #[must_use]
    pub const fn read(self) -> &'static str {
        match self {
            Self::Document => "document:read",
            Self::File => "file:read",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    const fn pattern(self) -> &'static str {
        match self {
            Self::Document => "organizations/*/documents/*",
            Self::File => "organizations/*/files/*",
        }
    }

    const fn collection(self) -> &'static str {
        match self {
            Self::Document => "documents",
            Self::File => "files",
        }
    }
}

/// Name of a searched resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceName {
    /// The organization.
    pub organization: OrganizationId,
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: Id,
}

impl ResourceName {
    /// Reads a full resource name; `None` for anything that is not searched.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Kind::ALL.into_iter().find_map(|kind| {
            let [organization, id] = api::parse_segments(name, kind.pattern()).ok()?;
            Some(Self { organization: OrganizationId(organization), kind, id })
        })
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.organization.name(), self.kind.collection(), self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_kinds_read_back_and_others_are_none() {
        let organization = "organizations/00000000000000000000000001";
        for (collection, kind) in [("documents", Kind::Document), ("files", Kind::File)] {
            let text = format!("{organization}/{collection}/00000000000000000000000002");
            let name = ResourceName::parse(&text).expect("it is a name");
            assert_eq!((name.kind, name.to_string()), (kind, text));
        }
        for text in ["", "documents/1", "organizations/x/documents/y", &format!("{organization}/folders/root")] {
            assert_eq!(ResourceName::parse(text), None);
        }
    }
}
