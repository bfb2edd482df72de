//! `OAuthClientService`.
use api::{Caller, Etag, Mask, timestamp};
use mesh::{Reply, caller, reply};
use proto::{
    Rule,
    auth::v1::{
        self as wire,
        o_auth_client::{AuthenticationMethod, IdTokenAlgorithm as Algorithm, Kind, RefreshMode as Mode},
        o_auth_client_service_server::OAuthClientService,
    },
};
use time::{Duration, OffsetDateTime};
use tonic::Request;

use super::{Rpc, organization_id, page, render_role, role};
use crate::{
    error::Error,
    model::{Client, ClientKind, ClientName, ClientProof, DisplayName, IdTokenAlgorithm, RefreshMode, Scopes},
    service::Once,
};

/// Fields that an update may change.
const CHANGEABLE: [&str; 9] = [
    "display_name",
    "redirect_uris",
    "post_logout_redirect_uris",
    "scopes",
    "authentication_method",
    "id_token_algorithm",
    "refresh_mode",
    "role",
    "actors",
];
const FIXED: [&str; 6] = ["name", "kind", "client_secret", "etag", "create_time", "update_time"];

#[tonic::async_trait]
impl OAuthClientService for Rpc {
    async fn create_o_auth_client(&self, request: Request<wire::CreateOAuthClientRequest>) -> Reply<wire::OAuthClient> {
        let (caller, request) = caller(request)?;
        let made = async {
            let organization = organization_id("parent", &request.parent)?;
            let client = parse(request.oauth_client.unwrap_or_default())?;
            self.auth.create_client(&caller, organization, client, is_permission).await
        };
        reply(made.await.map(|(client, secret)| render(client, secret)))
    }

    async fn get_o_auth_client(&self, request: Request<wire::GetOAuthClientRequest>) -> Reply<wire::OAuthClient> {
        let (caller, request) = caller(request)?;
        let found = async { self.auth.get_client(&caller, ClientName::parse_field("name", &request.name)?).await };
        reply(found.await.map(|client| render(client, None)))
    }

    async fn list_o_auth_clients(
        &self,
        request: Request<wire::ListOAuthClientsRequest>,
    ) -> Reply<wire::ListOAuthClientsResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found = async { self.auth.clients(&caller, organization_id("parent", &request.parent)?, &page).await };
        reply(found.await.map(|(clients, next_page_token)| wire::ListOAuthClientsResponse {
            oauth_clients: clients.into_iter().map(|client| render(client, None)).collect(),
            next_page_token,
        }))
    }

    async fn update_o_auth_client(&self, request: Request<wire::UpdateOAuthClientRequest>) -> Reply<wire::OAuthClient> {
        let (caller, request) = caller(request)?;
        reply(self.change_client(&caller, &request).await)
    }

    async fn delete_o_auth_client(&self, request: Request<wire::DeleteOAuthClientRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let once = Once::new(&caller, &request.request_id, &request);
        let done = async {
            let name = ClientName::parse_field("name", &request.name)?;
            self.auth.delete_client(&caller, name, &request.etag, &once).await
        };
        reply(done.await)
    }

    async fn rotate_o_auth_client_secret(
        &self,
        request: Request<wire::RotateOAuthClientSecretRequest>,
    ) -> Reply<wire::OAuthClient> {
        let (caller, request) = caller(request)?;
        let keep = request.keep_previous.map_or(Duration::ZERO, |keep| Duration::new(keep.seconds, keep.nanos));
        let made =
            async { self.auth.rotate_secret(&caller, ClientName::parse_field("name", &request.name)?, keep).await };
        reply(made.await.map(|(client, secret)| render(client, Some(secret))))
    }
}

impl Rpc {
    async fn change_client(
        &self,
        caller: &Caller,
        request: &wire::UpdateOAuthClientRequest,
    ) -> Result<wire::OAuthClient, Error> {
        let once = Once::new(caller, &request.request_id, request);
        let sent = request.oauth_client.clone().unwrap_or_default();
        let name = ClientName::parse_field("oauth_client.name", &sent.name)?;
        let populated = populated(&sent);
        let mask = Mask::parse(request.update_mask.as_ref(), &CHANGEABLE, &FIXED, &populated)?;
        let etag = sent.etag.clone();
        // The kind stays; any will do for reading the rest, and the rules see the stored one.
        let kind = if sent.kind == 0 { i32::from(Kind::Web) } else { sent.kind };
        let display_name = if mask.has("display_name") { sent.display_name.clone() } else { "unchanged".to_owned() };
        let named = sent.authentication_method != 0;
        let new = parse(wire::OAuthClient { kind, display_name, ..sent })?;
        let change = move |client: &mut Client| {
            let Client { display_name, redirect_uris, post_logout_redirect_uris, scopes, .. } = new;
            let fresh = Client { display_name, redirect_uris, post_logout_redirect_uris, scopes, ..new };
            apply(client, fresh, |field| mask.has(field), named);
        };
        let changed = self.auth.update_client(caller, name, &etag, (change, is_permission), &once).await?;
        Ok(render(changed, None))
    }
}

fn apply(client: &mut Client, new: Client, has: impl Fn(&str) -> bool, named: bool) {
    if has("display_name") {
        client.display_name = new.display_name;
    }
    if has("redirect_uris") {
        client.redirect_uris = new.redirect_uris;
    }
    if has("post_logout_redirect_uris") {
        client.post_logout_redirect_uris = new.post_logout_redirect_uris;
    }
    if has("scopes") {
        client.scopes = new.scopes;
    }
    if has("authentication_method") {
        client.proof = if named { new.proof } else { usual(client.kind) };
    }
    if has("id_token_algorithm") {
        client.algorithm = new.algorithm;
    }
    if has("refresh_mode") {
        client.refresh = new.refresh;
    }
    if has("role") {
        client.role = new.role;
    }
    if has("actors") {
        client.actors = new.actors;
    }
}

fn populated(sent: &wire::OAuthClient) -> Vec<&'static str> {
    let fields = [
        !sent.display_name.is_empty(),
        !sent.redirect_uris.is_empty(),
        !sent.post_logout_redirect_uris.is_empty(),
        !sent.scopes.is_empty(),
        sent.authentication_method != 0,
        sent.id_token_algorithm != 0,
        sent.refresh_mode != 0,
        sent.role != 0,
        !sent.actors.is_empty(),
    ];
    CHANGEABLE.into_iter().zip(fields).filter(|(_, sent)| *sent).map(|(field, _)| field).collect()
}

/// A permission that some method of the contract asks for.
fn is_permission(scope: &str) -> bool {
    let asked = |rule: &Rule| matches!(rule, Rule::Permission(permission) if permission == scope);
    proto::methods().iter().any(|method| method.access.as_ref().is_some_and(|access| asked(&access.rule)))
}

fn usual(kind: ClientKind) -> ClientProof {
    if kind == ClientKind::Native { ClientProof::None } else { ClientProof::Basic }
}

fn parse(sent: wire::OAuthClient) -> Result<Client, Error> {
    let number = |field: &str, number: i32| {
        let problem = "is no value of the contract";
        i16::try_from(number).map_err(|_| api::Error::invalid_field(&format!("oauth_client.{field}"), problem))
    };
    let unknown = |field: &str| {
        Error::from(api::Error::invalid_field(&format!("oauth_client.{field}"), "must be a value of the contract"))
    };
    let kind = ClientKind::of_number(number("kind", sent.kind)?).ok_or_else(|| unknown("kind"))?;
    let proof = match number("authentication_method", sent.authentication_method)? {
        0 => usual(kind),
        other => ClientProof::of_number(other).ok_or_else(|| unknown("authentication_method"))?,
    };
    let algorithm = match number("id_token_algorithm", sent.id_token_algorithm)? {
        0 => IdTokenAlgorithm::Rs256,
        other => IdTokenAlgorithm::of_number(other).ok_or_else(|| unknown("id_token_algorithm"))?,
    };
    let refresh = match number("refresh_mode", sent.refresh_mode)? {
        0 => RefreshMode::Window,
        other => RefreshMode::of_number(other).ok_or_else(|| unknown("refresh_mode"))?,
    };
    let DisplayName(display_name) = DisplayName::parse("oauth_client.display_name", &sent.display_name)?;
    let mut scopes = sent.scopes;
    scopes.dedup();
    Ok(Client {
        id: String::new(),
        organization: None,
        display_name,
        kind,
        redirect_uris: sent.redirect_uris,
        post_logout_redirect_uris: sent.post_logout_redirect_uris,
        scopes: Scopes(scopes),
        proof,
        algorithm,
        refresh,
        role: role("oauth_client.role", sent.role)?,
        actors: sent.actors,
        version: 1,
        create_time: OffsetDateTime::UNIX_EPOCH,
        update_time: OffsetDateTime::UNIX_EPOCH,
    })
}

fn render(client: Client, secret: Option<String>) -> wire::OAuthClient {
    let organization = client.organization.map(|organization| organization.name()).unwrap_or_default();
    let kind = match client.kind {
        ClientKind::Native => Kind::Native,
        ClientKind::Web => Kind::Web,
        ClientKind::Machine => Kind::Machine,
    };
    let method = match client.proof {
        ClientProof::None => AuthenticationMethod::None,
        ClientProof::Basic => AuthenticationMethod::ClientSecretBasic,
        ClientProof::Post => AuthenticationMethod::ClientSecretPost,
    };
    let algorithm = match client.algorithm {
        IdTokenAlgorithm::Es256 => Algorithm::Es256,
        IdTokenAlgorithm::Rs256 => Algorithm::Rs256,
    };
    let mode = match client.refresh {
        RefreshMode::Window => Mode::Window,
        RefreshMode::Strict => Mode::Strict,
        RefreshMode::Keep => Mode::Keep,
    };
    wire::OAuthClient {
        name: format!("{organization}/oauthClients/{}", client.id),
        display_name: client.display_name,
        kind: kind.into(),
        redirect_uris: client.redirect_uris,
        post_logout_redirect_uris: client.post_logout_redirect_uris,
        scopes: client.scopes.0,
        authentication_method: method.into(),
        id_token_algorithm: algorithm.into(),
        refresh_mode: mode.into(),
        role: render_role(client.role),
        actors: client.actors,
        client_secret: secret.unwrap_or_default(),
        etag: Etag::of_version(client.version),
        create_time: Some(timestamp(client.create_time)),
        update_time: Some(timestamp(client.update_time)),
    }
}
