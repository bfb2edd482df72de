//! `SigningKeyService`.
use api::timestamp;
use mesh::{Reply, caller, reply};
use proto::auth::v1::{self as wire, signing_key::State, signing_key_service_server::SigningKeyService};
use tonic::Request;

use super::{Rpc, page, token::use_of};
use crate::{model::KeyState, service::KeyShown};

#[tonic::async_trait]
impl SigningKeyService for Rpc {
    async fn list_signing_keys(
        &self,
        request: Request<wire::ListSigningKeysRequest>,
    ) -> Reply<wire::ListSigningKeysResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found = self.auth.signing_key_page(caller.context(), &page);
        reply(found.map(|(keys, next_page_token)| wire::ListSigningKeysResponse {
            signing_keys: keys.into_iter().map(render).collect(),
            next_page_token,
        }))
    }

    async fn rotate_signing_keys(
        &self,
        request: Request<wire::RotateSigningKeysRequest>,
    ) -> Reply<wire::RotateSigningKeysResponse> {
        let (caller, _request) = caller(request)?;
        let made = self.auth.rotate_keys(caller.context()).await;
        reply(made.map(|keys| wire::RotateSigningKeysResponse { signing_keys: keys.into_iter().map(render).collect() }))
    }

    async fn revoke_signing_key(
        &self,
        request: Request<wire::RevokeSigningKeyRequest>,
    ) -> Reply<wire::RevokeSigningKeyResponse> {
        let (caller, request) = caller(request)?;
        let kid = request.name.strip_prefix("signingKeys/");
        let kid = kid.ok_or_else(|| api::Error::invalid_field("name", "must have the form signingKeys/*"))?;
        let successor = self.auth.revoke_key(caller.context(), kid).await;
        reply(successor.map(|key| wire::RevokeSigningKeyResponse { successor: key.map(render) }))
    }
}

fn render(shown: KeyShown) -> wire::SigningKey {
    let state = match shown.state {
        KeyState::Announced => State::Announced,
        KeyState::Active => State::Active,
        KeyState::Retiring => State::Retiring,
        KeyState::Gone => State::Unspecified,
    };
    wire::SigningKey {
        name: format!("signingKeys/{}", shown.key.kid),
        r#use: use_of(shown.key.kind).into(),
        state: state.into(),
        activate_time: Some(timestamp(shown.key.times.activate)),
        expire_time: shown.key.times.expire.map(timestamp),
    }
}
