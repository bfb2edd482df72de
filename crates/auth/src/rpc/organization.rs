//! `OrganizationService`.
use api::{Caller, Id, Mask, OrganizationId};
use mesh::{Reply, caller, reply};
use proto::auth::v1::{self as wire, membership::State, organization_service_server::OrganizationService};
use tonic::Request;

use super::{Rpc, chosen_id, organization_id, page, render_membership, render_organization, role, user_id};
use crate::{
    error::Error,
    model::{
        AuditRetention, CustomRoleName, DisplayName, MembershipChange, MembershipName, MembershipState,
        OrganizationChange, OrganizationState,
    },
    service::{NewRoles, Once},
};

#[tonic::async_trait]
impl OrganizationService for Rpc {
    async fn get_organization(&self, request: Request<wire::GetOrganizationRequest>) -> Reply<wire::Organization> {
        let (caller, request) = caller(request)?;
        let found = async { self.auth.organization(&caller, organization_id("name", &request.name)?).await };
        reply(found.await.map(render_organization))
    }

    async fn update_organization(
        &self,
        request: Request<wire::UpdateOrganizationRequest>,
    ) -> Reply<wire::Organization> {
        let (caller, request) = caller(request)?;
        reply(self.rename(&caller, &request).await)
    }

    async fn create_organization(
        &self,
        request: Request<wire::CreateOrganizationRequest>,
    ) -> Reply<wire::Organization> {
        let (caller, request) = caller(request)?;
        reply(self.make_organization(&caller, &request).await)
    }

    async fn delete_organization(
        &self,
        request: Request<wire::DeleteOrganizationRequest>,
    ) -> Reply<wire::Organization> {
        let (caller, request) = caller(request)?;
        let done = async { self.auth.delete_organization(&caller, organization_id("name", &request.name)?).await };
        reply(done.await.map(render_organization))
    }

    async fn undelete_organization(
        &self,
        request: Request<wire::UndeleteOrganizationRequest>,
    ) -> Reply<wire::Organization> {
        let (caller, request) = caller(request)?;
        let done = async { self.auth.undelete_organization(&caller, organization_id("name", &request.name)?).await };
        reply(done.await.map(render_organization))
    }

    async fn suspend_organization(
        &self,
        request: Request<wire::SuspendOrganizationRequest>,
    ) -> Reply<wire::Organization> {
        let (caller, request) = caller(request)?;
        let state = OrganizationState::Suspended;
        let done =
            async { self.auth.suspend_organization(&caller, organization_id("name", &request.name)?, state).await };
        reply(done.await.map(render_organization))
    }

    async fn resume_organization(
        &self,
        request: Request<wire::ResumeOrganizationRequest>,
    ) -> Reply<wire::Organization> {
        let (caller, request) = caller(request)?;
        let state = OrganizationState::Active;
        let done =
            async { self.auth.suspend_organization(&caller, organization_id("name", &request.name)?, state).await };
        reply(done.await.map(render_organization))
    }

    async fn leave_organization(&self, request: Request<wire::LeaveOrganizationRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done =
            async { self.auth.leave_organization(&caller, MembershipName::parse_field("name", &request.name)?).await };
        reply(done.await)
    }

    async fn create_membership(&self, request: Request<wire::CreateMembershipRequest>) -> Reply<wire::Membership> {
        let (caller, request) = caller(request)?;
        reply(self.add_membership(&caller, &request).await)
    }

    async fn get_membership(&self, request: Request<wire::GetMembershipRequest>) -> Reply<wire::Membership> {
        let (caller, request) = caller(request)?;
        let found = async { self.auth.membership(&caller, MembershipName::parse_field("name", &request.name)?).await };
        reply(found.await.map(render_membership))
    }

    async fn list_memberships(
        &self,
        request: Request<wire::ListMembershipsRequest>,
    ) -> Reply<wire::ListMembershipsResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found = async { self.auth.memberships(&caller, organization_id("parent", &request.parent)?, &page).await };
        reply(found.await.map(|(memberships, next_page_token)| wire::ListMembershipsResponse {
            memberships: memberships.into_iter().map(render_membership).collect(),
            next_page_token,
        }))
    }

    async fn update_membership(&self, request: Request<wire::UpdateMembershipRequest>) -> Reply<wire::Membership> {
        let (caller, request) = caller(request)?;
        reply(self.change_membership(&caller, &request).await)
    }

    async fn delete_membership(&self, request: Request<wire::DeleteMembershipRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let once = Once::new(&caller, &request.request_id, &request);
        let done = async {
            let name = MembershipName::parse_field("name", &request.name)?;
            self.auth.delete_membership(&caller, name, &request.etag, &once).await
        };
        reply(done.await)
    }
}

impl Rpc {
    async fn make_organization(
        &self,
        caller: &Caller,
        request: &wire::CreateOrganizationRequest,
    ) -> Result<wire::Organization, Error> {
        let once = Once::of_person(caller, &request.request_id, request)?;
        let sent = request.organization.clone().unwrap_or_default();
        let name = DisplayName::parse("organization.display_name", &sent.display_name)?;
        let id = chosen_id("organization_id", &request.organization_id)?.map(OrganizationId);
        Ok(render_organization(self.auth.create_organization(caller, id, name, &once).await?))
    }

    async fn rename(
        &self,
        caller: &Caller,
        request: &wire::UpdateOrganizationRequest,
    ) -> Result<wire::Organization, Error> {
        let once = Once::new(caller, &request.request_id, request);
        let organization = request.organization.clone().unwrap_or_default();
        let id = organization_id("organization.name", &organization.name)?;
        let fields = ["display_name", "audit_retention_days"];
        let sent = [!organization.display_name.is_empty(), organization.audit_retention_days != 0];
        let populated: Vec<&str> =
            fields.into_iter().zip(sent).filter(|(_, sent)| *sent).map(|(name, _)| name).collect();
        let mask = Mask::parse(
            request.update_mask.as_ref(),
            &fields,
            &["name", "etag", "create_time", "update_time", "state", "purge_time"],
            &populated,
        )?;
        let name = || DisplayName::parse("organization.display_name", &organization.display_name);
        let days = || AuditRetention::parse("organization.audit_retention_days", organization.audit_retention_days);
        let change = OrganizationChange {
            display_name: mask.has("display_name").then(name).transpose()?,
            audit_retention: mask.has("audit_retention_days").then(days).transpose()?,
        };
        let changed = self.auth.update_organization(caller, id, &organization.etag, change, &once).await?;
        Ok(render_organization(changed))
    }

    async fn add_membership(
        &self,
        caller: &Caller,
        request: &wire::CreateMembershipRequest,
    ) -> Result<wire::Membership, Error> {
        let once = Once::new(caller, &request.request_id, request);
        let organization = organization_id("parent", &request.parent)?;
        let membership = request.membership.clone().unwrap_or_default();
        let user = user_id("membership.user", &membership.user)?;
        let roles = NewRoles {
            role: role("membership.role", membership.role)?,
            custom: custom_roles(organization, &membership.custom_roles)?,
        };
        Ok(render_membership(self.auth.create_membership(caller, organization, user, roles, &once).await?))
    }

    async fn change_membership(
        &self,
        caller: &Caller,
        request: &wire::UpdateMembershipRequest,
    ) -> Result<wire::Membership, Error> {
        let once = Once::new(caller, &request.request_id, request);
        let sent = request.membership.clone().unwrap_or_default();
        let name = MembershipName::parse_field("membership.name", &sent.name)?;
        let sent_paths =
            [("role", sent.role != 0), ("custom_roles", !sent.custom_roles.is_empty()), ("state", sent.state != 0)];
        let populated: Vec<&str> = sent_paths.iter().filter(|(_, sent)| *sent).map(|(name, _)| *name).collect();
        let ignored = ["name", "user", "etag", "create_time", "update_time", "email", "display_name"];
        let mask = Mask::parse(request.update_mask.as_ref(), &["role", "custom_roles", "state"], &ignored, &populated)?;
        let change = MembershipChange {
            role: mask.has("role").then(|| role("membership.role", sent.role)).transpose()?,
            custom_roles: mask
                .has("custom_roles")
                .then(|| custom_roles(name.organization, &sent.custom_roles))
                .transpose()?,
            state: mask.has("state").then(|| state(sent.state)).transpose()?,
        };
        Ok(render_membership(self.auth.update_membership(caller, name, &sent.etag, change, &once).await?))
    }
}

/// At most six roles of the organization, without doubles, sorted.
fn custom_roles(organization: OrganizationId, names: &[String]) -> Result<Vec<Id>, Error> {
    let field = "membership.custom_roles";
    let read = |name: &String| CustomRoleName::parse_field(field, name).map(|name| (name.organization, name.role));
    let mut roles = Vec::new();
    for name in names {
        let (of, role) = read(name)?;
        if of != organization {
            return Err(api::Error::invalid_field(field, "must be roles of the same organization").into());
        }
        roles.push(role);
    }
    roles.sort_unstable();
    roles.dedup();
    if roles.len() > authz::CUSTOM_ROLES_MAX {
        return Err(api::Error::invalid_field(field, "are more than six; a member holds at most six").into());
    }
    Ok(roles)
}

fn state(number: i32) -> Result<MembershipState, Error> {
    match State::try_from(number) {
        Ok(State::Active) => Ok(MembershipState::Active),
        Ok(State::Deactivated) => Ok(MembershipState::Deactivated),
        Ok(State::Unspecified) | Err(_) => {
            Err(api::Error::invalid_field("membership.state", "must be ACTIVE or DEACTIVATED").into())
        }
    }
}
