//! `InvitationService`.
use api::{Caller, timestamp};
use mesh::{Reply, caller, reply};
use proto::auth::v1::{self as wire, invitation_service_server::InvitationService};
use tonic::Request;

use super::{Rpc, organization_id, page, render_membership, render_role, role};
use crate::{
    error::Error,
    model::{Email, Invitation, InvitationName, InvitationState},
    service::{Lookup, Once},
};

#[tonic::async_trait]
impl InvitationService for Rpc {
    async fn create_invitation(&self, request: Request<wire::CreateInvitationRequest>) -> Reply<wire::Invitation> {
        let (caller, request) = caller(request)?;
        reply(self.invite(&caller, &request).await)
    }

    async fn get_invitation(&self, request: Request<wire::GetInvitationRequest>) -> Reply<wire::Invitation> {
        let (caller, request) = caller(request)?;
        let found = async { self.auth.invitation(&caller, InvitationName::parse_field("name", &request.name)?).await };
        reply(found.await.map(render))
    }

    async fn list_invitations(
        &self,
        request: Request<wire::ListInvitationsRequest>,
    ) -> Reply<wire::ListInvitationsResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found = async { self.auth.invitations(&caller, organization_id("parent", &request.parent)?, &page).await };
        reply(found.await.map(|(invitations, next_page_token)| wire::ListInvitationsResponse {
            invitations: invitations.into_iter().map(render).collect(),
            next_page_token,
        }))
    }

    async fn delete_invitation(&self, request: Request<wire::DeleteInvitationRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done =
            async { self.auth.revoke_invitation(&caller, InvitationName::parse_field("name", &request.name)?).await };
        reply(done.await)
    }

    async fn resend_invitation(&self, request: Request<wire::ResendInvitationRequest>) -> Reply<wire::Invitation> {
        let (caller, request) = caller(request)?;
        let sent =
            async { self.auth.resend_invitation(&caller, InvitationName::parse_field("name", &request.name)?).await };
        reply(sent.await.map(render))
    }

    async fn lookup_invitation(
        &self,
        request: Request<wire::LookupInvitationRequest>,
    ) -> Reply<wire::LookupInvitationResponse> {
        let (caller, request) = caller(request)?;
        reply(self.auth.look_up_invitation(caller.context(), &request.token).await.map(render_lookup))
    }

    async fn accept_invitation(&self, request: Request<wire::AcceptInvitationRequest>) -> Reply<wire::Membership> {
        let (caller, request) = caller(request)?;
        reply(self.auth.accept_invitation(&caller, &request.token).await.map(render_membership))
    }
}

impl Rpc {
    async fn invite(
        &self,
        caller: &Caller,
        request: &wire::CreateInvitationRequest,
    ) -> Result<wire::Invitation, Error> {
        let once = Once::new(caller, &request.request_id, request);
        let organization = organization_id("parent", &request.parent)?;
        let sent = request.invitation.clone().unwrap_or_default();
        let (email, role) = (Email::parse(&sent.email)?, role("invitation.role", sent.role)?);
        Ok(render(self.auth.create_invitation(caller, organization, email, role, &once).await?))
    }
}

fn render_lookup(found: Lookup) -> wire::LookupInvitationResponse {
    wire::LookupInvitationResponse {
        organization_display_name: found.organization,
        inviter_display_name: found.inviter,
        email: found.invitation.email,
        expire_time: Some(timestamp(found.invitation.expire_time)),
        account_exists: found.account_exists,
    }
}

fn render(invitation: Invitation) -> wire::Invitation {
    let state = match invitation.state {
        InvitationState::Open => wire::invitation::State::Open,
        InvitationState::Accepted => wire::invitation::State::Accepted,
        InvitationState::Revoked => wire::invitation::State::Revoked,
    };
    wire::Invitation {
        name: invitation.name().to_string(),
        email: invitation.email,
        role: render_role(invitation.role),
        inviter: invitation.inviter.name(),
        state: state.into(),
        create_time: Some(timestamp(invitation.create_time)),
        expire_time: Some(timestamp(invitation.expire_time)),
    }
}
