//! `BootstrapService`.
use api::{CallContext, OrganizationId};
use mesh::{Reply, caller, reply};
use proto::auth::v1::{self as wire, bootstrap_service_server::BootstrapService};
use tonic::Request;

use super::{Rpc, chosen_id, render_organization, render_user};
use crate::{
    error::Error,
    model::{DisplayName, Email},
    service::FirstOwner,
};

#[tonic::async_trait]
impl BootstrapService for Rpc {
    async fn get_bootstrap_state(
        &self,
        request: Request<wire::GetBootstrapStateRequest>,
    ) -> Reply<wire::BootstrapState> {
        let (caller, _request) = caller(request)?;
        reply(self.auth.bootstrap_done(caller.context()).await.map(|completed| wire::BootstrapState { completed }))
    }

    async fn complete_bootstrap(
        &self,
        request: Request<wire::CompleteBootstrapRequest>,
    ) -> Reply<wire::CompleteBootstrapResponse> {
        let (caller, request) = caller(request)?;
        reply(self.complete(caller.context(), request).await)
    }
}

impl Rpc {
    /// The code is tested first: who has none learns nothing about the rules of the other fields.
    async fn complete(
        &self,
        context: &CallContext,
        request: wire::CompleteBootstrapRequest,
    ) -> Result<wire::CompleteBootstrapResponse, Error> {
        self.auth.test_bootstrap_code(context, &request.code).await?;
        let first = FirstOwner {
            email: Email::parse(&request.email)?,
            display_name: DisplayName::parse("display_name", &request.display_name)?,
            organization_name: DisplayName::parse("organization_display_name", &request.organization_display_name)?,
            organization: chosen_id("organization_id", &request.organization_id)?.map(OrganizationId),
            password: request.password,
            code: request.code,
        };
        let (user, organization) = self.auth.complete_bootstrap(context, first).await?;
        Ok(wire::CompleteBootstrapResponse {
            user: Some(render_user(user)),
            organization: Some(render_organization(organization)),
        })
    }
}
