//! `OAuthService`: what the standards call an error stands in the answer, because the gateway writes it into the body.
use mesh::{Reply, caller, reply};
use proto::auth::v1::{
    self as wire,
    authorize_response::{self, Consent, SignIn},
    o_auth_service_server::OAuthService,
};
use tonic::Request;

use super::Rpc;
use crate::{
    model::{Parameters, Problem},
    service::{Answer, Exchange, Grant, Introspected, Outcome, Presented, Shown, UserInfo},
};

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

#[tonic::async_trait]
impl OAuthService for Rpc {
    async fn token(&self, request: Request<wire::TokenRequest>) -> Reply<wire::TokenResponse> {
        let (caller, mut request) = caller(request)?;
        let presented = presented(request.client.take());
        let exchanges = request.grant_type == EXCHANGE;
        let answer = async {
            let client = match self.auth.authenticate(caller.context(), &presented).await? {
                Ok(client) => client,
                Err(problem) => return Ok(Err(problem)),
            };
            match parse(request) {
                Ok(grant) => self.auth.token(caller.context(), &client, grant).await,
                Err(problem) => Ok(Err(problem)),
            }
        };
        reply(answer.await.map(|answer| render(answer, exchanges)))
    }

    async fn revoke(&self, request: Request<wire::RevokeRequest>) -> Reply<wire::RevokeResponse> {
        let (caller, request) = caller(request)?;
        let done = self.auth.revoke_token(caller.context(), &presented(request.client), &request.token).await;
        reply(done.map(|done| wire::RevokeResponse { error: done.err().map(error) }))
    }

    async fn introspect(&self, request: Request<wire::IntrospectRequest>) -> Reply<wire::IntrospectResponse> {
        let (caller, request) = caller(request)?;
        let found = self.auth.introspect(caller.context(), &presented(request.client), &request.token).await;
        reply(found.map(|found| match found {
            Ok(Some(token)) => introspected(token),
            Ok(None) => wire::IntrospectResponse::default(),
            Err(problem) => wire::IntrospectResponse { error: Some(error(problem)), ..Default::default() },
        }))
    }

    async fn get_user_info(&self, request: Request<wire::GetUserInfoRequest>) -> Reply<wire::UserInfo> {
        let (caller, request) = caller(request)?;
        reply(self.auth.user_info(caller.context(), &request.access_token).await.map(user_info))
    }

    async fn authorize(&self, request: Request<wire::AuthorizeRequest>) -> Reply<wire::AuthorizeResponse> {
        let (caller, request) = caller(request)?;
        let sent = request.parameters.unwrap_or_default();
        let uri = sent.request_uri.clone();
        let from = (request.session.as_str(), request.browser.as_str());
        reply(self.auth.authorize(caller.context(), parameters(sent), &uri, from).await.map(outcome))
    }

    async fn push_authorization(
        &self,
        request: Request<wire::PushAuthorizationRequest>,
    ) -> Reply<wire::PushAuthorizationResponse> {
        let (caller, request) = caller(request)?;
        let sent = request.parameters.unwrap_or_default();
        if !sent.request_uri.is_empty() {
            let refused = invalid("request_uri is what this endpoint gives; send the parameters themselves");
            return Ok(tonic::Response::new(pushed(Err(refused))));
        }
        let done = self.auth.push(caller.context(), &presented(request.client), parameters(sent)).await;
        reply(done.map(pushed))
    }

    async fn authorize_device(
        &self,
        request: Request<wire::AuthorizeDeviceRequest>,
    ) -> Reply<wire::AuthorizeDeviceResponse> {
        let (caller, request) = caller(request)?;
        let codes = self.auth.authorize_device(caller.context(), &presented(request.client), &request.scope).await;
        reply(codes.map(|codes| match codes {
            Ok(codes) => wire::AuthorizeDeviceResponse {
                error: None,
                device_code: codes.device,
                user_code: codes.user,
                expire_after: Some(super::duration(codes.life)),
                interval: Some(super::duration(codes.interval)),
            },
            Err(problem) => wire::AuthorizeDeviceResponse { error: Some(error(problem)), ..Default::default() },
        }))
    }
}

fn presented(client: Option<wire::ClientAuthentication>) -> Presented {
    let client = client.unwrap_or_default();
    Presented { id: client.client_id, secret: client.client_secret, basic: client.basic }
}

fn parameters(sent: wire::AuthorizationParameters) -> Parameters {
    Parameters {
        client_id: sent.client_id,
        redirect_uri: sent.redirect_uri,
        response_type: sent.response_type,
        response_mode: sent.response_mode,
        scope: sent.scope,
        state: sent.state,
        code_challenge: sent.code_challenge,
        code_challenge_method: sent.code_challenge_method,
        nonce: sent.nonce,
        prompt: sent.prompt,
        max_age: sent.max_age,
        login_hint: sent.login_hint,
        request: sent.request,
        id_token_hint: sent.id_token_hint,
    }
}

fn invalid(description: &'static str) -> Problem {
    Problem { error: "invalid_request", description }
}

fn parse(request: wire::TokenRequest) -> Result<Grant, Problem> {
    match request.grant_type.as_str() {
        "authorization_code" => {
            let sent = [&request.code, &request.redirect_uri, &request.code_verifier];
            if sent.into_iter().any(String::is_empty) {
                return Err(invalid("code, redirect_uri and code_verifier are needed for this grant_type"));
            }
            let (code, redirect_uri) = (request.code, request.redirect_uri);
            Ok(Grant::Code { code, redirect_uri, verifier: request.code_verifier })
        }
        "refresh_token" if request.refresh_token.is_empty() => {
            Err(invalid("refresh_token is needed for this grant_type"))
        }
        "refresh_token" => Ok(Grant::Refresh { token: request.refresh_token, scope: request.scope }),
        "client_credentials" => Ok(Grant::Credentials { scope: request.scope }),
        DEVICE if request.device_code.is_empty() => Err(invalid("device_code is needed for this grant_type")),
        DEVICE => Ok(Grant::Device(request.device_code)),
        EXCHANGE => exchange(request),
        "" => Err(invalid("grant_type is needed")),
        _ => Err(Problem {
            error: "unsupported_grant_type",
            description: "grant_type must be authorization_code, refresh_token, client_credentials, device_code or token-exchange",
        }),
    }
}

fn exchange(request: wire::TokenRequest) -> Result<Grant, Problem> {
    if request.subject_token.is_empty() || request.subject_token_type != ACCESS_TOKEN {
        return Err(invalid("send a subject_token with the subject_token_type of an access token"));
    }
    if !["", ACCESS_TOKEN].contains(&request.requested_token_type.as_str()) {
        return Err(invalid("requested_token_type must be that of an access token"));
    }
    if !request.actor_token.is_empty() {
        return Err(invalid("actor_token is not taken: the client that authenticates is the actor"));
    }
    let audiences = request.audience.into_iter().chain(request.resource).collect();
    Ok(Grant::Exchange(Exchange { subject: request.subject_token, scope: request.scope, audiences }))
}

fn render(answer: Answer, exchanges: bool) -> wire::TokenResponse {
    match answer {
        Ok(tokens) => wire::TokenResponse {
            access_token: tokens.access,
            refresh_token: tokens.refresh.unwrap_or_default(),
            expires_in_seconds: tokens.life.whole_seconds(),
            scope: tokens.scope,
            id_token: tokens.id.unwrap_or_default(),
            issued_token_type: if exchanges { ACCESS_TOKEN.to_owned() } else { String::new() },
            ..wire::TokenResponse::default()
        },
        Err(problem) => wire::TokenResponse {
            error: problem.error.to_owned(),
            error_description: problem.description.to_owned(),
            ..wire::TokenResponse::default()
        },
    }
}

/// An error of the standards.
pub(super) fn error(problem: Problem) -> wire::OAuthError {
    wire::OAuthError { error: problem.error.to_owned(), error_description: problem.description.to_owned() }
}

/// A client for a page.
pub(super) fn shown(client: Shown) -> wire::ClientShown {
    wire::ClientShown { display_name: client.display_name, redirect_origin: client.redirect_origin }
}

/// What the browser gets to see next.
pub(super) fn outcome(outcome: Outcome) -> wire::AuthorizeResponse {
    use authorize_response::Outcome as Wire;
    let outcome = match outcome {
        Outcome::Refused(problem) => Wire::Refused(error(problem)),
        Outcome::Redirect(uri) => Wire::RedirectUri(uri),
        Outcome::SignIn { request, client, login_hint, again } => {
            Wire::SignIn(SignIn { request, client: Some(shown(client)), login_hint, again })
        }
        Outcome::Consent { request, client, scopes, email, organization } => {
            Wire::Consent(Consent { request, client: Some(shown(client)), scopes: scopes.0, email, organization })
        }
    };
    wire::AuthorizeResponse { outcome: Some(outcome) }
}

fn pushed(done: Result<String, Problem>) -> wire::PushAuthorizationResponse {
    match done {
        Ok(request_uri) => {
            let expire_after = Some(super::duration(crate::service::PUSHED_LIFE));
            wire::PushAuthorizationResponse { error: None, request_uri, expire_after }
        }
        Err(problem) => wire::PushAuthorizationResponse { error: Some(error(problem)), ..Default::default() },
    }
}

fn introspected(token: Introspected) -> wire::IntrospectResponse {
    wire::IntrospectResponse {
        error: None,
        active: true,
        scope: token.scope,
        client_id: token.client,
        token_type: if token.refresh { "refresh_token" } else { "access_token" }.to_owned(),
        exp: token.exp,
        iat: token.iat,
        sub: token.sub,
        sid: token.sid,
        org: token.org,
    }
}

fn user_info(info: UserInfo) -> wire::UserInfo {
    let (name, updated, organization) =
        info.profile.map_or((String::new(), 0, None), |(name, time, org)| (name, time.unix_timestamp(), org));
    let (email, email_verified) = info.email.unwrap_or_default();
    wire::UserInfo {
        sub: info.user.to_string(),
        name,
        email,
        email_verified,
        org: organization.map(|organization| organization.to_string()).unwrap_or_default(),
        updated_at: updated,
    }
}
