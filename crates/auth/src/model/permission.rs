//! Permissions as the contract declares them, and the rights of a member: nobody gives what he lacks.
//!
//! A permission is held by a built-in role from some strength on, or by a custom role that lists it. `platform:*` is held in the system
//! organization only.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use super::{CustomRole, Role};
use crate::error::{Authorization, Error};
use api::{Id, OrganizationId, Share};

/// One permission of the contract.
#[derive(Clone, Debug)]
pub(crate) struct Permission {
    /// As the contract writes it: `document:read`.
    pub(crate) text: &'static str,
    /// Least built-in role that holds it.
    pub(crate) least: proto::Role,
    /// Least relation on a resource that may stand in for the role.
    pub(crate) share: Option<Share>,
    /// RPCs that ask for it.
    pub(crate) methods: Vec<&'static str>,
}

impl Permission {
    /// Held by this built-in role in this organization. A member without a role holds what any member does.
    pub(crate) fn held_by(&self, role: Option<Role>, organization: OrganizationId) -> bool {
        let strength = role.map_or(proto::Role::Member as i32, |role| role as i32 + 1);
        self.there(organization) && strength >= self.least as i32
    }

    /// May be held in this organization at all.
    fn there(&self, organization: OrganizationId) -> bool {
        !self.text.starts_with("platform:") || organization == OrganizationId::SYSTEM
    }
}

/// All permissions of the contract, by their text.
pub(crate) fn catalog() -> &'static BTreeMap<&'static str, Permission> {
    static CATALOG: LazyLock<BTreeMap<&'static str, Permission>> = LazyLock::new(|| {
        let mut found: BTreeMap<&'static str, Permission> = BTreeMap::new();
        for method in proto::methods().iter() {
            let Some(access) = &method.access else { continue };
            let (proto::Rule::Permission(text), Some(least)) = (&access.rule, access.role) else { continue };
            let new = || Permission { text, least, share: access.share, methods: Vec::new() };
            found.entry(text).or_insert_with(new).methods.push(method.rpc);
        }
        found
    });
    &CATALOG
}

/// A set of permissions of the contract.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Permissions(BTreeSet<&'static str>);

impl Permissions {
    /// Reads them out of a request field.
    ///
    /// # Errors
    /// PERMISSION_UNKNOWN.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, Error> {
        let known = |text: &String| {
            catalog()
                .get(text.as_str())
                .map(|known| known.text)
                .ok_or_else(|| Authorization::PermissionUnknown(text.clone()).into())
        };
        texts.iter().map(known).collect::<Result<_, _>>().map(Self)
    }

    /// Takes back what was stored. What the contract does not have any more allows nothing.
    pub(crate) fn restore(texts: &[String]) -> Self {
        Self(texts.iter().filter_map(|text| catalog().get(text.as_str())).map(|known| known.text).collect())
    }

    /// In the order of their texts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }

    /// Has this one.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.0.contains(text)
    }

    /// Adds those of another set.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }
}

/// What a member may do by his roles, as the database has them now, and with the credential that he used.
#[derive(Clone, Debug)]
pub(crate) struct Rights {
    organization: OrganizationId,
    role: Option<Role>,
    roles: Vec<Id>,
    custom: Permissions,
    /// Permissions that the credential is good for; `None` for all.
    scope: Option<Permissions>,
}

impl Rights {
    /// The rights of a member with these roles.
    pub(crate) fn new(organization: OrganizationId, role: Option<Role>, custom: &[CustomRole]) -> Self {
        let mut permissions = Permissions::default();
        custom.iter().for_each(|role| permissions.extend(&role.permissions));
        let roles = custom.iter().map(|role| role.id).collect();
        Self { organization, role, roles, custom: permissions, scope: None }
    }

    /// The rights of a member with this role and what his custom roles allow together.
    pub(crate) fn of_permissions(organization: OrganizationId, role: Option<Role>, custom: Permissions) -> Self {
        Self { organization, role, roles: Vec::new(), custom, scope: None }
    }

    /// The rights that are left with a credential that is good for what `in_scope` says.
    pub(crate) fn within(self, in_scope: impl Fn(&str) -> bool) -> Self {
        let scope = catalog().keys().copied().filter(|text| in_scope(text)).collect();
        Self { scope: Some(Permissions(scope)), ..self }
    }

    /// The built-in role.
    pub(crate) fn role(&self) -> Option<Role> {
        self.role
    }

    /// All of these custom roles are his own.
    pub(crate) fn has_roles(&self, custom: &[Id]) -> bool {
        custom.iter().all(|role| self.roles.contains(role))
    }

    /// The permission holds for every resource of the organization.
    pub(crate) fn hold(&self, permission: &Permission) -> bool {
        let by_role = permission.held_by(self.role, self.organization)
            || (permission.there(self.organization) && self.custom.has(permission.text));
        by_role && self.scope.as_ref().is_none_or(|scope| scope.has(permission.text))
    }

    /// Nobody gives a built-in role that allows what he lacks, beside what every member holds.
    ///
    /// # Errors
    /// ROLE_TOO_HIGH; PERMISSION_LACKED when the credential is not good for all of it.
    pub(crate) fn cover_role(&self, role: Option<Role>) -> Result<(), Error> {
        Role::at_most(role, self.role)?;
        let given = |permission: &&Permission| {
            permission.held_by(role, self.organization) && !permission.held_by(None, self.organization)
        };
        match catalog().values().filter(given).find(|permission| !self.hold(permission)) {
            None => Ok(()),
            Some(permission) => Err(Authorization::PermissionLacked(permission.text).into()),
        }
    }

    /// Who acts as a member holds all that the member does, what is shared with him too, of which editors hold everything.
    ///
    /// # Errors
    /// As [`Rights::cover_role`] and [`Rights::cover`].
    pub(crate) fn cover_member(&self, role: Option<Role>, custom: &Permissions) -> Result<(), Error> {
        self.cover_role(role.max(Some(Role::Editor)))?;
        self.cover(custom)
    }

    /// Nobody gives, takes or touches what he lacks.
    ///
    /// # Errors
    /// PERMISSION_LACKED, with the first permission that is lacking.
    pub(crate) fn cover(&self, wanted: &Permissions) -> Result<(), Error> {
        let lacks = |text: &&'static str| catalog().get(text).is_none_or(|permission| !self.hold(permission));
        match wanted.iter().find(lacks) {
            None => Ok(()),
            Some(text) => Err(Authorization::PermissionLacked(text).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(texts: &[&str]) -> Permissions {
        Permissions::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
            .expect("the contract has them")
    }

    #[test]
    fn roles_hold_what_the_contract_says_and_no_more() {
        let organization = OrganizationId(Id::ZERO);
        let editor = Rights::new(organization, Some(Role::Editor), &[]);
        assert!(editor.cover(&permissions(&["document:read", "document:write", "permission:read"])).is_ok());
        assert!(matches!(
            editor.cover(&permissions(&["membership:write"])),
            Err(Error::Authorization(Authorization::PermissionLacked("membership:write")))
        ));
        let narrowed = editor.within(|text| text == "document:read");
        assert!(narrowed.cover(&permissions(&["document:read"])).is_ok());
        assert!(narrowed.cover(&permissions(&["document:write"])).is_err(), "out of the credential's scope");
        assert!(narrowed.cover_role(None).is_ok() && narrowed.cover_role(Some(Role::Viewer)).is_err());
        let editor = Rights::new(organization, Some(Role::Editor), &[]);
        assert!(editor.cover_role(Some(Role::Editor)).is_ok());
        assert!(matches!(editor.cover_role(Some(Role::Admin)), Err(Error::RoleTooHigh)));
        let nobody = Rights::new(organization, None, &[]);
        assert!(editor.cover_member(None, &permissions(&["document:write"])).is_ok());
        assert!(matches!(editor.cover_member(Some(Role::Owner), &Permissions::default()), Err(Error::RoleTooHigh)));
        assert!(editor.cover_member(None, &permissions(&["membership:write"])).is_err());
        assert!(nobody.cover_member(None, &Permissions::default()).is_err(), "what is shared with him");
        assert!(nobody.cover(&permissions(&["document:read"])).is_err());
        assert!(matches!(
            Permissions::parse(&["document:fly".to_owned()]),
            Err(Error::Authorization(Authorization::PermissionUnknown(_)))
        ));
    }

    #[test]
    fn the_catalog_is_the_contract() {
        let read = catalog().get("document:read").expect("it is there");
        assert_eq!((read.least, read.share), (proto::Role::Viewer, Some(Share::Reader)));
        assert!(read.methods.contains(&"workos.document.v1.DocumentService/GetDocument"));
    }
}
