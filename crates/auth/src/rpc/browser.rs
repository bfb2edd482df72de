//! `BrowserService`, for the gateway's pages.
use mesh::{Reply, caller, reply};
use proto::auth::v1::{self as wire, browser_service_server::BrowserService};
use tonic::Request;

use super::{
    Rpc,
    oauth::{error, outcome, shown},
};
use crate::service::{DeviceAnswer, Ended, SignOut, Visitor};

#[tonic::async_trait]
impl BrowserService for Rpc {
    async fn begin_browser_session(
        &self,
        request: Request<wire::BeginBrowserSessionRequest>,
    ) -> Reply<wire::BrowserSession> {
        let (caller, request) = caller(request)?;
        let wire::BeginBrowserSessionRequest { code, browser, replaced } = request;
        reply(self.auth.begin_browser_session(caller.context(), &code, &browser, &replaced).await.map(session))
    }

    async fn get_browser_session(
        &self,
        request: Request<wire::GetBrowserSessionRequest>,
    ) -> Reply<wire::BrowserSession> {
        let (caller, request) = caller(request)?;
        reply(self.auth.visitor(caller.context(), &request.session).await.map(session))
    }

    async fn end_browser_session(
        &self,
        request: Request<wire::EndBrowserSessionRequest>,
    ) -> Reply<wire::EndBrowserSessionResponse> {
        let (caller, request) = caller(request)?;
        let asked = SignOut {
            session: request.session,
            hint: request.id_token_hint,
            client: request.client_id,
            redirect_uri: request.post_logout_redirect_uri,
            state: request.state,
            confirmed: request.confirmed,
        };
        reply(self.auth.sign_out(caller.context(), asked).await.map(ended))
    }

    async fn continue_authorization(
        &self,
        request: Request<wire::ContinueAuthorizationRequest>,
    ) -> Reply<wire::AuthorizeResponse> {
        let (caller, request) = caller(request)?;
        let from = (request.session.as_str(), request.browser.as_str());
        reply(self.auth.continue_authorization(caller.context(), &request.request, from).await.map(outcome))
    }

    async fn decide_authorization(
        &self,
        request: Request<wire::DecideAuthorizationRequest>,
    ) -> Reply<wire::AuthorizeResponse> {
        let (caller, request) = caller(request)?;
        let from = (request.session.as_str(), request.browser.as_str());
        let decided = self.auth.decide_authorization(caller.context(), &request.request, from, request.approve).await;
        reply(decided.map(outcome))
    }

    async fn find_device(&self, request: Request<wire::FindDeviceRequest>) -> Reply<wire::DeviceShown> {
        let (caller, request) = caller(request)?;
        let from = (request.session.as_str(), request.network.as_str());
        reply(self.auth.find_device(caller.context(), &request.user_code, from).await.map(device))
    }

    async fn decide_device(&self, request: Request<wire::DecideDeviceRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let from = (request.session.as_str(), request.network.as_str());
        reply(self.auth.decide_device(caller.context(), &request.user_code, from, request.approve).await)
    }
}

fn session(visitor: Visitor) -> wire::BrowserSession {
    wire::BrowserSession {
        session: visitor.secret,
        expire_after: Some(super::duration(visitor.life)),
        email: visitor.email,
        organization: visitor.organization,
    }
}

fn ended(ended: Ended) -> wire::EndBrowserSessionResponse {
    let none = wire::EndBrowserSessionResponse::default();
    match ended {
        Ended::Done(Ok(redirect_uri)) => wire::EndBrowserSessionResponse { ended: true, redirect_uri, ..none },
        Ended::Done(Err(problem)) => {
            wire::EndBrowserSessionResponse { ended: true, error: Some(error(problem)), ..none }
        }
        Ended::Asks { client, origin } => {
            wire::EndBrowserSessionResponse { client_id: client, redirect_origin: origin, ..none }
        }
        Ended::Refused(problem) => wire::EndBrowserSessionResponse { error: Some(error(problem)), ..none },
    }
}

fn device(found: DeviceAnswer) -> wire::DeviceShown {
    wire::DeviceShown {
        client: Some(shown(found.client)),
        scopes: found.scopes.0,
        user_code: found.user_code,
        email: found.email,
        organization: found.organization,
    }
}
