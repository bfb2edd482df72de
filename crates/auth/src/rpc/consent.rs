//! `ConsentService`.
use api::{Caller, timestamp};
use mesh::{Reply, caller, reply};
use proto::auth::v1::{self as wire, consent_service_server::ConsentService};
use tonic::Request;

use super::{Rpc, oneself, page};
use crate::{
    error::Error,
    model::{Consent, ConsentName, RequestName},
};

#[tonic::async_trait]
impl ConsentService for Rpc {
    async fn list_consents(&self, request: Request<wire::ListConsentsRequest>) -> Reply<wire::ListConsentsResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found = async { self.auth.consents(&caller, oneself(&caller, "parent", &request.parent)?, &page).await };
        reply(found.await.map(|(consents, next_page_token)| wire::ListConsentsResponse {
            consents: consents.into_iter().map(render).collect(),
            next_page_token,
        }))
    }

    async fn get_consent(&self, request: Request<wire::GetConsentRequest>) -> Reply<wire::Consent> {
        let (caller, request) = caller(request)?;
        let found = async { self.auth.consent(&caller, own_consent(&caller, &request.name)?).await };
        reply(found.await.map(render))
    }

    async fn delete_consent(&self, request: Request<wire::DeleteConsentRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done = async { self.auth.delete_consent(&caller, own_consent(&caller, &request.name)?).await };
        reply(done.await)
    }

    async fn get_authorization_request(
        &self,
        request: Request<wire::GetAuthorizationRequestRequest>,
    ) -> Reply<wire::AuthorizationRequest> {
        let (caller, request) = caller(request)?;
        let found = async {
            let name = RequestName::parse("name", &request.name)?;
            self.auth.authorization_request(&caller, &name).await
        };
        reply(found.await.map(|(waiting, client_display_name, organization)| wire::AuthorizationRequest {
            name: request.name.clone(),
            client: waiting.asked.client,
            client_display_name,
            scopes: waiting.asked.scopes.0,
            organization: organization.map(|organization| organization.name()).unwrap_or_default(),
            expire_time: Some(timestamp(waiting.expire_time)),
        }))
    }

    async fn approve_authorization_request(
        &self,
        request: Request<wire::ApproveAuthorizationRequestRequest>,
    ) -> Reply<wire::AuthorizationDecision> {
        let (caller, request) = caller(request)?;
        reply(self.decide(&caller, &request.name, true).await)
    }

    async fn deny_authorization_request(
        &self,
        request: Request<wire::DenyAuthorizationRequestRequest>,
    ) -> Reply<wire::AuthorizationDecision> {
        let (caller, request) = caller(request)?;
        reply(self.decide(&caller, &request.name, false).await)
    }
}

impl Rpc {
    async fn decide(&self, caller: &Caller, name: &str, approve: bool) -> Result<wire::AuthorizationDecision, Error> {
        let name = RequestName::parse("name", name)?;
        let redirect_uri = self.auth.decide_request(caller, &name, approve).await?;
        Ok(wire::AuthorizationDecision { redirect_uri })
    }
}

/// A consent named by its user.
fn own_consent(caller: &Caller, name: &str) -> Result<ConsentName, Error> {
    let full = match name.strip_prefix("users/me/") {
        Some(rest) => format!("{}/{rest}", caller.user_required()?.name()),
        None => name.to_owned(),
    };
    Ok(ConsentName::parse_field("name", &full)?)
}

fn render((consent, client_display_name): (Consent, String)) -> wire::Consent {
    wire::Consent {
        name: ConsentName { user: consent.user, consent: consent.id }.to_string(),
        client: consent.client,
        client_display_name,
        organization: consent.organization.map(|organization| organization.name()).unwrap_or_default(),
        scopes: consent.scopes.0,
        create_time: Some(timestamp(consent.create_time)),
        update_time: Some(timestamp(consent.update_time)),
    }
}
