//! `TokenService`, for workloads.
use api::{CallContext, timestamp};
use mesh::{Reply, caller, reply};
use proto::auth::v1::{
    self as wire,
    list_verify_keys_response::{VerifyKey, verify_key::Use},
    token_service_server::TokenService,
};
use tonic::Request;

use super::{Rpc, organization_id, page, user_id};
use crate::{
    credential::{KeyUse, PublicKey},
    error::Error,
    model::{CustomRole, DelegationName, GroupName, LinkName, Revocation, Subject, Told, catalog},
    service::{Auth, Directory, MailText},
};

#[tonic::async_trait]
impl TokenService for Rpc {
    async fn exchange_credential(
        &self,
        request: Request<wire::ExchangeCredentialRequest>,
    ) -> Reply<wire::ExchangeCredentialResponse> {
        let (caller, request) = caller(request)?;
        let token = match (request.access_token.is_empty(), request.session.is_empty()) {
            (false, true) => self.auth.exchange_credential(caller.context(), &request.access_token).await,
            (true, false) => self.auth.exchange_session(caller.context(), &request.session).await,
            _ => Err(Error::CredentialInvalid),
        };
        reply(token.map(|token| wire::ExchangeCredentialResponse {
            token: token.token,
            expire_time: Some(timestamp(token.expire_time)),
            principal: token.principal,
        }))
    }

    async fn exchange_delegation(
        &self,
        request: Request<wire::ExchangeDelegationRequest>,
    ) -> Reply<wire::ExchangeDelegationResponse> {
        let (caller, request) = caller(request)?;
        let token = async {
            self.auth
                .exchange_delegation(&caller, DelegationName::parse_field("delegation", &request.delegation)?)
                .await
        };
        reply(token.await.map(|token| wire::ExchangeDelegationResponse {
            token: token.token,
            expire_time: Some(timestamp(token.expire_time)),
        }))
    }

    async fn take_email_secret(
        &self,
        request: Request<wire::TakeEmailSecretRequest>,
    ) -> Reply<wire::TakeEmailSecretResponse> {
        let (caller, request) = caller(request)?;
        let taken = async {
            let id = request.name.strip_prefix("emailDeliveries/").and_then(|id| id.parse().ok());
            let id = id.ok_or_else(|| api::Error::invalid_field("name", "must have the form emailDeliveries/*"))?;
            self.auth.take_mail(caller.context(), id).await
        };
        reply(taken.await.map(render_mail))
    }

    async fn list_verify_keys(
        &self,
        request: Request<wire::ListVerifyKeysRequest>,
    ) -> Reply<wire::ListVerifyKeysResponse> {
        let (_caller, _request) = caller(request)?;
        let keys = self.auth.verify_keys();
        reply(keys.map(|keys| wire::ListVerifyKeysResponse { keys: keys.into_iter().map(render_key).collect() }))
    }

    async fn list_revocations(
        &self,
        request: Request<wire::ListRevocationsRequest>,
    ) -> Reply<wire::ListRevocationsResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        reply(self.auth.revocations(caller.context(), &page).await.map(render_revocations))
    }

    async fn get_directory(&self, request: Request<wire::GetDirectoryRequest>) -> Reply<wire::Directory> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found = self.auth.directory(caller.context(), &request.known_revision, &page).await;
        reply(found.map(render_directory))
    }

    async fn list_user_groups(
        &self,
        request: Request<wire::ListUserGroupsRequest>,
    ) -> Reply<wire::ListUserGroupsResponse> {
        let (caller, request) = caller(request)?;
        reply(user_groups(&self.auth, caller.context(), &request).await)
    }
}

/// The groups and links of a user as services that decide by shares read them.
pub(crate) async fn user_groups(
    auth: &Auth,
    context: &CallContext,
    request: &wire::ListUserGroupsRequest,
) -> Result<wire::ListUserGroupsResponse, Error> {
    let organization = organization_id("parent", &request.parent)?;
    let mut answer = wire::ListUserGroupsResponse::default();
    for (subject, end) in auth.groups_of(context, organization, user_id("user", &request.user)?).await? {
        match subject {
            Subject::Group(group) => answer.groups.push(GroupName { organization, group }.to_string()),
            Subject::Link(link) => answer.links.push(wire::list_user_groups_response::Link {
                name: LinkName { organization, link }.to_string(),
                expire_time: end.map(timestamp),
            }),
            Subject::User(_) | Subject::Members(_) | Subject::Role(_) | Subject::CustomRole(_) => {}
        }
    }
    Ok(answer)
}

/// The directory as verifiers read it.
pub(crate) fn render_directory(directory: Directory) -> wire::Directory {
    let Some(roles) = directory.roles else {
        return wire::Directory { revision: directory.revision, unchanged: true, ..wire::Directory::default() };
    };
    let permissions: Vec<&str> = catalog().keys().copied().collect();
    let position = |text| permissions.binary_search(&text).ok().and_then(|position| u32::try_from(position).ok());
    let render = |role: CustomRole| wire::directory::Role {
        organization: role.organization.to_string(),
        role: role.id.to_string(),
        version: role.version,
        permissions: role.permissions.iter().filter_map(position).collect(),
    };
    let roles = roles.into_iter().map(render).collect();
    let permissions = permissions.iter().map(|text| (*text).to_owned()).collect();
    let (revision, next_page_token) = (directory.revision, directory.next_page_token);
    wire::Directory { revision, unchanged: false, permissions, roles, next_page_token }
}

fn render_mail(mail: MailText) -> wire::TakeEmailSecretResponse {
    let told = mail.delivery.told.as_ref();
    let told = |text: fn(&Told) -> &String| told.map(text).cloned().unwrap_or_default();
    wire::TakeEmailSecretResponse {
        impersonator_display_name: told(|told| &told.display_name),
        impersonator_email: told(|told| &told.email),
        impersonation_reason: told(|told| &told.reason),
        purpose: mail.delivery.purpose as i32,
        email: mail.delivery.email,
        display_name: mail.delivery.display_name,
        link: mail.link,
        code: mail.code,
        expire_time: Some(timestamp(mail.delivery.expire_time)),
        organization_display_name: mail.organization,
        inviter_display_name: mail.inviter,
    }
}

/// A public key as verifiers read it.
pub(crate) fn render_key(key: PublicKey) -> VerifyKey {
    VerifyKey {
        r#use: use_of(key.kind).into(),
        key_id: key.key_id,
        public_key: key.bytes.into(),
        kid: key.kid,
        activate_time: Some(timestamp(key.times.activate)),
    }
}

/// What a key verifies, as the contract says it.
pub(super) fn use_of(kind: KeyUse) -> Use {
    match kind {
        KeyUse::Internal => Use::Internal,
        KeyUse::Edge => Use::Edge,
        KeyUse::IdToken => Use::IdToken,
        KeyUse::Refresh => Use::Unspecified,
    }
}

/// A page of revocations as verifiers read it.
pub(crate) fn render_revocations(
    (entries, next_page_token): (Vec<Revocation>, String),
) -> wire::ListRevocationsResponse {
    let revocations = entries.into_iter().map(render_revocation).collect();
    wire::ListRevocationsResponse { revocations, next_page_token }
}

fn render_revocation(entry: Revocation) -> wire::Revocation {
    wire::Revocation {
        kind: entry.kind,
        id: entry.id,
        not_before: Some(timestamp(entry.not_before)),
        keep_until: Some(timestamp(entry.keep_until)),
        renew: entry.renew,
    }
}
