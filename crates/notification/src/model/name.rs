//! Names of this service's resources.
use std::borrow::Cow;

use api::{Id, OrganizationId, UserId, resource_name};

resource_name!(
    /// An inbox: one user in one organization.
    pub(crate) struct InboxName { organization: OrganizationId, user: UserId } = "organizations/*/users/*"
);
resource_name!(
    /// Name of an inbox item.
    pub(crate) struct ItemName { organization: OrganizationId, user: UserId, item: Id }
    = "organizations/*/users/*/inboxItems/*"
);
resource_name!(
    /// Name of a delivery.
    pub(crate) struct DeliveryName { organization: OrganizationId, delivery: Id } = "organizations/*/deliveries/*"
);
resource_name!(
    /// Name of a captured mail.
    pub(crate) struct CapturedMailName { organization: OrganizationId, mail: Id } = "organizations/*/capturedMails/*"
);

impl InboxName {
    /// Id under which the events of the inbox are ordered: an inbox has no id of its own.
    pub(crate) fn id(self) -> Id {
        Id::derive(self.organization.0, self.user.uuid().as_bytes())
    }
}

impl ItemName {
    /// The inbox that the item is in.
    pub(crate) fn inbox(self) -> InboxName {
        InboxName { organization: self.organization, user: self.user }
    }
}

/// The name with the caller's id in the place of `me`.
pub(crate) fn own(name: &str, caller: UserId) -> Cow<'_, str> {
    let mut segments: Vec<_> = name.split('/').collect();
    if segments.get(2) != Some(&"users") || segments.get(3) != Some(&"me") {
        return Cow::Borrowed(name);
    }
    let id = caller.to_string();
    segments[3] = &id;
    Cow::Owned(segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn me_is_the_caller_and_only_in_the_place_of_a_user() {
        let caller = UserId(Id::ZERO);
        let zero = Id::ZERO;
        assert_eq!(own("organizations/x/users/me", caller), format!("organizations/x/users/{zero}"));
        assert_eq!(
            own("organizations/x/users/me/inboxItems/y", caller),
            format!("organizations/x/users/{zero}/inboxItems/y")
        );
        for name in
            ["", "me", "users/me", "organizations/users/me", "organizations/x/users/you", "organizations/x/teams/me"]
        {
            assert_eq!(own(name, caller), name);
        }
    }

    #[test]
    fn inboxes_of_one_user_in_two_organizations_are_two() {
        let user = UserId(Id::derive(Id::ZERO, b"user"));
        let inbox = |organization| InboxName { organization: OrganizationId(Id::derive(Id::ZERO, organization)), user };
        assert_ne!(inbox(b"one").id(), inbox(b"two").id());
    }
}
