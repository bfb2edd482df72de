//! Organizations, users, memberships, delegations; and the texts that people give them.
use api::{Id, OrganizationId, UserId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use unicode_normalization::UnicodeNormalization;

use super::{OrganizationState, UserState};
use crate::error::Error;

api::resource_name!(
    /// Name of a membership.
    pub(crate) struct MembershipName { organization: OrganizationId, membership: Id } = "organizations/*/memberships/*"
);
api::resource_name!(
    /// Name of a delegation.
    pub(crate) struct DelegationName { organization: OrganizationId, delegation: Id } = "organizations/*/delegations/*"
);

/// Built-in roles, weakest first; the numbers are those of the contract and of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Reads everything.
    Viewer = 1,
    /// Writes everything.
    Editor = 2,
    /// Manages members and settings.
    Admin = 3,
    /// Manages the organization.
    Owner = 4,
}

impl Role {
    /// All of them, weakest first.
    pub(crate) const ALL: [Self; 4] = [Self::Viewer, Self::Editor, Self::Admin, Self::Owner];

    /// The role with this number; `None` for a member without one.
    pub(crate) fn of_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|role| *role as i16 == number)
    }

    /// Lower-case name, as tokens carry it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// Nobody gives, takes or touches a role above his own.
    ///
    /// # Errors
    /// ROLE_TOO_HIGH.
    pub(crate) fn at_most(wanted: Option<Self>, own: Option<Self>) -> Result<(), Error> {
        if wanted > own { Err(Error::RoleTooHigh) } else { Ok(()) }
    }
}

/// State of a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MembershipState {
    /// In force.
    Active = 1,
    /// Suspended.
    Deactivated = 2,
}

impl MembershipState {
    /// The state with this number.
    pub(crate) fn of_number(number: i16) -> Option<Self> {
        [Self::Active, Self::Deactivated].into_iter().find(|state| *state as i16 == number)
    }

    /// Lower-case name, for the audit log.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deactivated => "deactivated",
        }
    }
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Organization {
    /// Id.
    pub(crate) id: OrganizationId,
    /// Name shown to people.
    pub(crate) display_name: String,
    /// Counts changes from 1; gives the etag.
    pub(crate) version: i64,
    /// When it was created.
    #[serde(with = "micros")]
    pub(crate) create_time: OffsetDateTime,
    /// When it was last changed.
    #[serde(with = "micros")]
    pub(crate) update_time: OffsetDateTime,
    /// State.
    pub(crate) state: OrganizationState,
    /// When a deleted one is erased.
    #[serde(skip)]
    pub(crate) purge_time: Option<OffsetDateTime>,
    /// Days for which its audit log is kept; none is the platform's default.
    #[serde(default)]
    pub(crate) audit_retention_days: Option<i32>,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    /// Id.
    pub(crate) id: UserId,
    /// E-mail address as given, in NFC.
    pub(crate) email: String,
    /// Name shown to people.
    pub(crate) display_name: String,
    /// Organization that created the user; none for whoever has signed up by himself.
    pub(crate) managing_organization: Option<OrganizationId>,
    /// State.
    pub(crate) state: UserState,
    /// Somebody has proven to read the address.
    pub(crate) email_verified: bool,
    /// When it was created.
    #[serde(with = "micros")]
    pub(crate) create_time: OffsetDateTime,
    /// When it was last changed.
    #[serde(with = "micros")]
    pub(crate) update_time: OffsetDateTime,
}

impl User {
    /// May sign in.
    pub(crate) fn is_active(&self) -> bool {
        self.state == UserState::Active
    }
}

/// A user's place in an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Membership {
    /// Id.
    pub(crate) id: Id,
    /// Tenant.
    pub(crate) organization: OrganizationId,
    /// Member.
    pub(crate) user: UserId,
    /// Role; `None` sees only what is shared.
    pub(crate) role: Option<Role>,
    /// Roles of the organization's own making, without doubles, sorted.
    #[serde(default)]
    pub(crate) custom_roles: Vec<Id>,
    /// State.
    pub(crate) state: MembershipState,
    /// Counts changes from 1; gives the etag.
    pub(crate) version: i64,
    /// When it began.
    #[serde(with = "micros")]
    pub(crate) create_time: OffsetDateTime,
    /// When it was last changed.
    #[serde(with = "micros")]
    pub(crate) update_time: OffsetDateTime,
    /// The user's e-mail address.
    pub(crate) email: String,
    /// The user's name.
    pub(crate) display_name: String,
}

impl Membership {
    /// Full resource name.
    pub(crate) fn name(&self) -> String {
        MembershipName { organization: self.organization, membership: self.id }.to_string()
    }

    /// An owner whose rights are in force.
    pub(crate) fn is_active_owner(&self) -> bool {
        self.state == MembershipState::Active && self.role == Some(Role::Owner)
    }

    /// The membership after a change; the same version when nothing changes.
    pub(crate) fn changed(&self, change: &MembershipChange, now: OffsetDateTime) -> Self {
        let mut next = Self {
            role: change.role.unwrap_or(self.role),
            custom_roles: change.custom_roles.clone().unwrap_or_else(|| self.custom_roles.clone()),
            state: change.state.unwrap_or(self.state),
            ..self.clone()
        };
        if next != *self {
            next.version += 1;
            next.update_time = now;
        }
        next
    }
}

/// What an update changes; `None` leaves the field as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct MembershipChange {
    /// The new role, which may be none.
    pub(crate) role: Option<Option<Role>>,
    /// The new custom roles, without doubles, sorted.
    pub(crate) custom_roles: Option<Vec<Id>>,
    /// The new state.
    pub(crate) state: Option<MembershipState>,
}

/// A right to act for a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delegation {
    /// Id.
    pub(crate) id: Id,
    /// Tenant.
    pub(crate) organization: OrganizationId,
    /// On whose behalf.
    pub(crate) user: UserId,
    /// Workload that may exchange it.
    pub(crate) actor: String,
    /// Name of the resource it is for.
    pub(crate) purpose: String,
    /// RPCs it covers, as `package.Service/Method`.
    pub(crate) methods: Vec<String>,
    /// Scopes of the credential that it was made with.
    pub(crate) scopes: Vec<String>,
    /// When it ends.
    #[serde(with = "micros")]
    pub(crate) expire_time: OffsetDateTime,
    /// When it was created.
    #[serde(with = "micros")]
    pub(crate) create_time: OffsetDateTime,
}

/// What a new delegation is made of.
#[derive(Clone, Debug)]
pub(crate) struct NewDelegation {
    /// Name of the resource it is for.
    pub(crate) purpose: Purpose,
    /// RPCs it covers; known to the contract.
    pub(crate) methods: Vec<String>,
    /// When it ends.
    pub(crate) expire_time: OffsetDateTime,
}

/// Name of the resource that a delegation is for: 1 to 512 bytes without control characters.
#[derive(Clone, Debug)]
pub(crate) struct Purpose(pub(crate) String);

impl Purpose {
    /// Reads it out of a request field.
    pub(crate) fn parse(field: &str, text: &str) -> Result<Self, Error> {
        if text.is_empty() || text.len() > 512 || text.chars().any(char::is_control) {
            let problem = "must be the name of a resource, 1 to 512 bytes without control characters";
            return Err(api::Error::invalid_field(field, problem).into());
        }
        Ok(Self(text.to_owned()))
    }
}

/// A name shown to people: 1 to 255 characters in NFC, not only blanks, no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DisplayName(pub(crate) String);

impl DisplayName {
    /// Reads it out of a request field.
    pub(crate) fn parse(field: &'static str, text: &str) -> Result<Self, Error> {
        let bounded = text.len() <= 4 * 255 && !text.chars().any(char::is_control) && !text.trim().is_empty();
        let name: String = if bounded { text.nfc().collect() } else { String::new() };
        if (1..=255).contains(&name.chars().count()) { Ok(Self(name)) } else { Err(Error::DisplayNameInvalid(field)) }
    }
}

/// An e-mail address. Two spellings that differ only in case or compatibility form are the same address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Email {
    /// As given, in NFC.
    pub(crate) text: String,
    /// What is compared: NFKC, lower case.
    pub(crate) key: String,
}

impl Email {
    /// Reads an address: one `@` between two parts that are not empty, no blanks or control characters, at most 254 bytes.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let well_formed = text.len() <= 254
            && !text.chars().any(|letter| letter.is_control() || letter.is_whitespace())
            && text.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty()
                    && local.len() <= 64
                    && !domain.contains('@')
                    && domain.split('.').all(|label| !label.is_empty())
            });
        if well_formed {
            Ok(Self { text: text.nfc().collect(), key: Self::key(text) })
        } else {
            Err(Error::EmailInvalid)
        }
    }

    /// What an identifier typed at sign-in is compared by; any text has one.
    pub(crate) fn key(text: &str) -> String {
        text.nfkc().collect::<String>().to_lowercase()
    }
}

/// Times in stored answers: whole microseconds since 1970, as PostgreSQL keeps them.
pub(super) mod micros {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use time::OffsetDateTime;

    pub(in crate::model) fn serialize<S: Serializer>(time: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(i64::try_from(time.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX))
    }

    pub(in crate::model) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<OffsetDateTime, D::Error> {
        let micros = i64::deserialize(deserializer)?;
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_in_every_case() {
        let email = Email::parse("Ada@Example.com").expect("valid");
        assert_eq!((email.text.as_str(), email.key.as_str()), ("Ada@Example.com", "ada@example.com"));
        assert_eq!(
            Email::parse("ÅSA@example.com").expect("valid").key,
            Email::parse("A\u{30a}sa@example.com").expect("valid").key
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(250));
        for text in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a@b@c",
            "ada @example.com",
            "ada@example..com",
            "ada@\0",
            "ada\n@example.com",
            &long,
        ] {
            assert!(Email::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_display_name_is_bounded_in_characters_not_bytes() {
        assert!(DisplayName::parse("display_name", &"ж".repeat(255)).is_ok());
        for text in ["", "   ", "a\u{7}b", "\0", &"a".repeat(256)] {
            assert!(DisplayName::parse("display_name", text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn nobody_gives_a_role_above_his_own() {
        assert!(Role::at_most(Some(Role::Admin), Some(Role::Admin)).is_ok());
        assert!(Role::at_most(None, Some(Role::Admin)).is_ok());
        assert!(Role::at_most(Some(Role::Owner), Some(Role::Admin)).is_err());
        assert!(Role::at_most(Some(Role::Viewer), None).is_err());
    }
}
