//! `OAuthService`: what RFC 6749 calls an error stands in the answer, because the gateway writes it into the body.
use mesh::{Reply, caller, reply};
use proto::auth::v1::{self as wire, o_auth_service_server::OAuthService};
use tonic::Request;

use super::Rpc;
use crate::service::{Grant, Refusal, Tokens};

#[tonic::async_trait]
impl OAuthService for Rpc {
    async fn token(&self, request: Request<wire::TokenRequest>) -> Reply<wire::TokenResponse> {
        let (caller, request) = caller(request)?;
        let client = request.client_id.clone();
        let grant = match parse(request) {
            Ok(grant) => grant,
            Err(refused) => return Ok(tonic::Response::new(*refused)),
        };
        reply(self.auth.token(caller.context(), &client, grant).await.map(render))
    }

    async fn revoke(&self, request: Request<wire::RevokeRequest>) -> Reply<wire::RevokeResponse> {
        let (caller, request) = caller(request)?;
        let done = self.auth.revoke_token(caller.context(), &request.client_id, &request.token).await;
        reply(done.map(|()| wire::RevokeResponse {}))
    }
}

fn parse(request: wire::TokenRequest) -> Result<Grant, Box<wire::TokenResponse>> {
    let needs = |what: &str| Box::new(refused("invalid_request", &format!("{what} is needed for this grant_type")));
    if request.client_id.is_empty() {
        return Err(needs("client_id"));
    }
    match request.grant_type.as_str() {
        "authorization_code" => {
            let fields = [
                ("code", &request.code),
                ("redirect_uri", &request.redirect_uri),
                ("code_verifier", &request.code_verifier),
            ];
            let missing = fields.into_iter().find(|(_, value)| value.is_empty()).map(|(name, _)| name);
            match missing {
                Some(missing) => Err(needs(missing)),
                None => Ok(Grant::Code {
                    code: request.code,
                    redirect_uri: request.redirect_uri,
                    verifier: request.code_verifier,
                }),
            }
        }
        "refresh_token" if request.refresh_token.is_empty() => Err(needs("refresh_token")),
        "refresh_token" => Ok(Grant::Refresh(request.refresh_token)),
        "" => Err(Box::new(refused("invalid_request", "grant_type is needed: authorization_code or refresh_token"))),
        _ => Err(Box::new(refused("unsupported_grant_type", "grant_type must be authorization_code or refresh_token"))),
    }
}

fn render(answer: Result<Tokens, Refusal>) -> wire::TokenResponse {
    match answer {
        Ok(tokens) => wire::TokenResponse {
            access_token: tokens.access,
            refresh_token: tokens.refresh,
            expires_in_seconds: tokens.life.whole_seconds(),
            scope: tokens.scope.to_owned(),
            ..wire::TokenResponse::default()
        },
        Err(Refusal::Client) => refused("invalid_client", "the client is not registered"),
        Err(Refusal::Grant) => refused(
            "invalid_grant",
            "the code or refresh token is unknown, used, expired or not for this client; sign in again",
        ),
    }
}

fn refused(error: &str, description: &str) -> wire::TokenResponse {
    wire::TokenResponse {
        error: error.to_owned(),
        error_description: description.to_owned(),
        ..wire::TokenResponse::default()
    }
}
