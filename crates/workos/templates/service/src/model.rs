//! __Names__ as values, with the rules that hold for them. Pure: no I/O, no clock, nothing of the wire.
use api::{Id, OrganizationId};
use time::OffsetDateTime;

use crate::error::Error;

/// Bytes of a display name.
pub(crate) const DISPLAY_NAME_MAX: usize = 255;

api::resource_name!(
    /// Name of a __name__.
    pub(crate) struct __Name__Name { organization: OrganizationId, __name__: Id } = "organizations/*/__names__/*"
);

/// A __name__.
#[derive(Clone, Debug)]
pub(crate) struct __Name__ {
    /// Its name.
    pub(crate) name: __Name__Name,
    /// Name shown to people.
    pub(crate) display_name: String,
    /// Rises by one with every change; gives the etag.
    pub(crate) version: i64,
    /// When it was created.
    pub(crate) create_time: OffsetDateTime,
}

/// What somebody wants to create.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The organization.
    pub(crate) organization: OrganizationId,
    /// Name shown to people.
    pub(crate) display_name: String,
}

impl Draft {
    /// Checks what was sent.
    pub(crate) fn parse(organization: OrganizationId, display_name: String) -> Result<Self, Error> {
        let problem = match display_name.len() {
            0 => Some("is empty"),
            length if length > DISPLAY_NAME_MAX => Some("is too long"),
            _ if display_name.chars().any(char::is_control) => Some("holds control characters"),
            _ => None,
        };
        problem.map_or(Ok(Self { organization, display_name }), |problem| Err(Error::DisplayNameInvalid(problem)))
    }

    /// The first version.
    pub(crate) fn first_version(self, id: Id, now: OffsetDateTime) -> __Name__ {
        let name = __Name__Name { organization: self.organization, __name__: id };
        __Name__ { name, display_name: self.display_name, version: 1, create_time: now }
    }
}

/// A part of a list, ordered by id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Items wanted, at least 1.
    pub(crate) size: usize,
    /// The last item of the page before.
    pub(crate) after: Option<Id>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_name_is_text_of_bounded_length() {
        let parse = |text: &str| Draft::parse(OrganizationId::SYSTEM, text.to_owned());
        assert!(parse("a").is_ok() && parse(&"a".repeat(DISPLAY_NAME_MAX)).is_ok());
        for text in ["", "a\nb", "\0", &"a".repeat(DISPLAY_NAME_MAX + 1)] {
            assert!(matches!(parse(text), Err(Error::DisplayNameInvalid(_))), "{text:?}");
        }
    }
}
