//! Resources that relations speak of, and what may be asked about them.
use api::{Id, OrganizationId, Share};

use super::{Permission, Role, catalog};
use crate::error::{Authorization, Error};

/// Collections of customers' own types: `objectTypes/{type}/objects/{object}`.
const TYPES: &str = "objectTypes";
const OBJECTS: &str = "objects";

/// A resource of an organization, or the organization itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Object {
    /// Tenant.
    pub(crate) organization: OrganizationId,
    /// Name below the organization; empty for the organization itself.
    pub(crate) path: String,
}

impl Object {
    /// Reads a name out of a request field: of a platform resource, of a customer's resource, or of this organization.
    pub(crate) fn parse(field: &str, name: &str, organization: OrganizationId) -> Result<Self, Error> {
        let path = match name.strip_prefix(&organization.name()) {
            Some("") => Some(""),
            Some(rest) => rest.strip_prefix('/').filter(|path| is_path(path)),
            None => None,
        };
        let problem = "must name a resource of the organization: organizations/*/documents/* and the like, or \
                       organizations/*/objectTypes/*/objects/*";
        let path = path.ok_or_else(|| api::Error::invalid_field(field, problem))?;
        Ok(Self { organization, path: path.to_owned() })
    }

    /// Takes back what was stored.
    pub(crate) fn restore(organization: OrganizationId, path: String) -> Self {
        Self { organization, path }
    }

    /// Full name.
    pub(crate) fn name(&self) -> String {
        if self.path.is_empty() {
            self.organization.name()
        } else {
            format!("{}/{}", self.organization.name(), self.path)
        }
    }

    /// Of a customer's own type.
    pub(crate) fn is_own(&self) -> bool {
        self.path.starts_with("objectTypes/")
    }
}

/// Collections of a type, checked: `documents`, `objectTypes/board/objects`. Names of its resources begin with it and a slash.
pub(crate) fn collection(field: &str, text: &str) -> Result<String, Error> {
    let example = if text.starts_with(TYPES) { "x".to_owned() } else { Id::ZERO.to_string() };
    if is_path(&format!("{text}/{example}")) {
        return Ok(text.to_owned());
    }
    let problem = "must be the collection of a type: documents, files, objectTypes/*/objects";
    Err(api::Error::invalid_field(field, problem).into())
}

/// Pairs of collection and id. A customer's type and object have rules of their own; anything else is an id of the platform.
fn is_path(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').collect();
    match segments[..] {
        [TYPES, kind, OBJECTS, object] => {
            let of_type = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            let of_object = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
            (1..=32).contains(&kind.len())
                && kind.bytes().all(of_type)
                && (1..=64).contains(&object.len())
                && object.bytes().all(of_object)
        }
        [TYPES, ..] => false,
        _ => {
            let pair = |pair: &[&str]| match pair {
                [collection, id] => {
                    !collection.is_empty()
                        && collection.len() <= 32
                        && collection.bytes().all(|byte| byte.is_ascii_alphabetic())
                        && id.parse::<Id>().is_ok()
                }
                _ => false,
            };
            (2..=6).contains(&segments.len()) && segments.chunks(2).all(pair)
        }
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    /// Something that the contract asks for.
    Contract(&'static Permission),
    /// Something with a resource of a customer's own type: the least relation, and the least role that stands in for it.
    Own(Share, Role),
}

/// Permissions on resources of customers' own types. Roles hold what they hold of documents.
const OWN: [(&str, Share, Role); 5] = [
    ("object:read", Share::Reader, Role::Viewer),
    ("object:comment", Share::Commenter, Role::Editor),
    ("object:write", Share::Writer, Role::Editor),
    ("object:share", Share::Keeper, Role::Editor),
    ("object:delete", Share::Keeper, Role::Editor),
];

impl Wanted {
    /// Reads a permission, for a resource of a customer's own type or for another.
    ///
    /// # Errors
    /// PERMISSION_UNKNOWN.
    pub(crate) fn parse(text: &str, own: bool) -> Result<Self, Error> {
        let found = if own {
            OWN.iter().find(|(name, ..)| *name == text).map(|(_, share, role)| Self::Own(*share, *role))
        } else {
            catalog().get(text).map(Self::Contract)
        };
        found.ok_or_else(|| Authorization::PermissionUnknown(text.to_owned()).into())
    }

    /// The least relation that allows it, if any does.
    pub(crate) fn share(self) -> Option<Share> {
        match self {
            Self::Contract(permission) => permission.share,
            Self::Own(share, _) => Some(share),
        }
    }

    /// The least built-in role that allows it, as the contract counts roles.
    pub(crate) fn least_role(self) -> proto::Role {
        match self {
            Self::Contract(permission) => permission.least,
            Self::Own(_, Role::Viewer) => proto::Role::Viewer,
            Self::Own(_, Role::Editor) => proto::Role::Editor,
            Self::Own(_, Role::Admin) => proto::Role::Admin,
            Self::Own(_, Role::Owner) => proto::Role::Owner,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00000000000000000000000001";

    #[test]
    fn names_are_of_the_organization_and_well_formed() {
        let organization = OrganizationId(Id::ZERO);
        let name = |path: &str| format!("{}/{path}", organization.name());
        for path in [
            format!("documents/{ID}"),
            format!("documents/{ID}/grants/{ID}"),
            "objectTypes/board/objects/Plans-2026.v1~a_b".to_owned(),
        ] {
            let object = Object::parse("resource", &name(&path), organization).expect("well-formed");
            assert_eq!((object.name(), object.path.as_str()), (name(&path), path.as_str()));
        }
        assert_eq!(Object::parse("resource", &organization.name(), organization).expect("itself").path, "");
        let long = format!("objectTypes/board/objects/{}", "a".repeat(65));
        for path in [
            "",
            "documents",
            "documents/x",
            "objectTypes/board",
            "objectTypes/Board/objects/x",
            "objectTypes/b/objects/ä",
            "objectTypes//objects/x",
            &long,
        ] {
            assert!(Object::parse("resource", &name(path), organization).is_err(), "{path}");
        }
        let foreign = format!("organizations/{ID}/documents/{ID}");
        assert!(Object::parse("resource", &foreign, organization).is_err());
        assert!(Object::parse("resource", &format!("{}x", organization.name()), organization).is_err());
    }

    #[test]
    fn a_type_is_a_collection() {
        for text in ["documents", "objectTypes/board/objects"] {
            assert_eq!(collection("type", text).expect("a type"), text);
        }
        for text in ["", "documents/", "objectTypes", "objectTypes/board", "objectTypes/%/objects", "docu_ments"] {
            assert!(collection("type", text).is_err(), "{text}");
        }
    }

    #[test]
    fn own_types_have_permissions_of_their_own() {
        assert_eq!(Wanted::parse("object:write", true).expect("known").share(), Some(Share::Writer));
        assert!(Wanted::parse("object:write", false).is_err());
        assert!(Wanted::parse("document:read", true).is_err());
        assert_eq!(Wanted::parse("document:read", false).expect("known").share(), Some(Share::Reader));
    }
}
