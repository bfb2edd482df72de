//! Whom something can be shared with. Owners of resources, the index of relations and search have the one form of the name in common, so
//! what one of them tells needs no translation.
//!
//! A name says who is meant and not who that is: who is in a group, has a role or holds a link is asked when something is decided.
use crate::{Id, OrganizationId, Role, UserId};

/// Somebody, or all who are something, in one organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A user: `users/{user}`.
    User(UserId),
    /// Every active member: `organizations/{organization}#member`.
    Members,
    /// Who has this built-in role or a stronger one: `organizations/{organization}#editor`.
    Role(Role),
    /// Who is in a group, directly or through groups: `organizations/{organization}/groups/{group}#member`.
    Group(Id),
    /// Who has a role of the organization's own making: `organizations/{organization}/customRoles/{custom_role}#member`.
    CustomRole(Id),
    /// Who has opened a link: `organizations/{organization}/links/{link}#holder`.
    Link(Id),
}

/// Built-in roles that something can be shared with, weakest first, and their words.
const ROLES: [(Role, &str); 4] =
    [(Role::Viewer, "viewer"), (Role::Editor, "editor"), (Role::Admin, "admin"), (Role::Owner, "owner")];

impl Principal {
    /// Reads a name; `None` for what is none, or is of another organization.
    #[must_use]
    pub fn parse(text: &str, organization: OrganizationId) -> Option<Self> {
        let Some((name, relation)) = text.split_once('#') else { return UserId::parse(text).ok().map(Self::User) };
        let below = name.strip_prefix(&organization.name())?;
        if below.is_empty() {
            let role = || ROLES.iter().find(|(_, word)| *word == relation).map(|(role, _)| Self::Role(*role));
            return if relation == "member" { Some(Self::Members) } else { role() };
        }
        let (collection, id) = below.strip_prefix('/')?.split_once('/')?;
        let id = id.parse().ok()?;
        match (collection, relation) {
            ("groups", "member") => Some(Self::Group(id)),
            ("customRoles", "member") => Some(Self::CustomRole(id)),
            ("links", "holder") => Some(Self::Link(id)),
            _ => None,
        }
    }

    /// The name.
    #[must_use]
    pub fn name(self, organization: OrganizationId) -> String {
        let of = organization.name();
        match self {
            Self::User(user) => user.name(),
            Self::Members => format!("{of}#member"),
            Self::Role(role) => {
                // Any other role is that of every member.
                let word = ROLES.iter().find(|(there, _)| *there == role).map_or("member", |(_, word)| word);
                format!("{of}#{word}")
            }
            Self::Group(group) => format!("{of}/groups/{group}#member"),
            Self::CustomRole(role) => format!("{of}/customRoles/{role}#member"),
            Self::Link(link) => format!("{of}/links/{link}#holder"),
        }
    }

    /// Who has this role is one of these: the role and all weaker ones.
    pub fn of_role(role: Option<Role>) -> impl Iterator<Item = Self> {
        let own = role.map_or(0, |role| role as i32);
        ROLES.into_iter().filter(move |(role, _)| *role as i32 <= own).map(|(role, _)| Self::Role(role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: OrganizationId = OrganizationId(Id::ZERO);

    #[test]
    fn a_name_reads_back_and_is_of_its_own_organization_alone() {
        let id = Id::derive(Id::ZERO, b"somebody");
        let other = OrganizationId(id);
        for principal in [
            Principal::User(UserId(id)),
            Principal::Members,
            Principal::Role(Role::Viewer),
            Principal::Role(Role::Owner),
            Principal::Group(id),
            Principal::CustomRole(id),
            Principal::Link(id),
        ] {
            let name = principal.name(OF);
            assert_eq!(Principal::parse(&name, OF), Some(principal), "{name}");
            let foreign = Principal::parse(&name, other);
            assert_eq!(foreign.is_some(), matches!(principal, Principal::User(_)), "{name}");
        }
    }

    #[test]
    fn nothing_else_is_a_name() {
        let (of, id) = (OF.name(), Id::ZERO);
        for text in [
            String::new(),
            "#member".to_owned(),
            of.clone(),
            format!("{of}#"),
            format!("{of}#viewers"),
            format!("{of}#document:read"),
            format!("{of}#member#member"),
            format!("{of}x#member"),
            format!("{of}/groups/{id}"),
            format!("{of}/groups/{id}#holder"),
            format!("{of}/groups/{id}/x#member"),
            format!("{of}/customRoles/{id}#viewer"),
            format!("{of}/links/{id}#member"),
            format!("{of}/documents/{id}#member"),
            format!("users/{id}#member"),
        ] {
            assert_eq!(Principal::parse(&text, OF), None, "{text}");
        }
    }

    #[test]
    fn who_has_a_role_has_the_weaker_ones_too() {
        let of = |role| Principal::of_role(role).collect::<Vec<_>>();
        assert_eq!(of(Some(Role::Editor)), [Principal::Role(Role::Viewer), Principal::Role(Role::Editor)]);
        assert_eq!((of(None), of(Some(Role::Member))), (Vec::new(), Vec::new()));
        assert_eq!(of(Some(Role::Owner)).len(), 4);
    }
}
