//! `KeyService`.
use api::{Caller, Etag, Mask, UserId, from_timestamp, timestamp};
use mesh::{Reply, caller, reply};
use proto::{
    Rule,
    auth::v1::{self as wire, key_service_server::KeyService},
};
use tonic::Request;

use super::{Rpc, organization_id, page, render_role, role};
use crate::{
    error::Error,
    model::{ApiKey, ApiKeyName, DisplayName, KeyScopes, NewApiKey, ServiceAccount, ServiceAccountName},
    service::Once,
};

#[tonic::async_trait]
impl KeyService for Rpc {
    async fn create_api_key(&self, request: Request<wire::CreateApiKeyRequest>) -> Reply<wire::ApiKey> {
        let (caller, request) = caller(request)?;
        reply(self.make_key(&caller, request).await)
    }

    async fn get_api_key(&self, request: Request<wire::GetApiKeyRequest>) -> Reply<wire::ApiKey> {
        let (caller, request) = caller(request)?;
        let found = async { self.auth.api_key(&caller, ApiKeyName::parse_field("name", &request.name)?).await };
        reply(found.await.map(|key| render(key, String::new())))
    }

    async fn list_api_keys(&self, request: Request<wire::ListApiKeysRequest>) -> Reply<wire::ListApiKeysResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found = async { self.auth.api_keys(&caller, organization_id("parent", &request.parent)?, &page).await };
        reply(found.await.map(|(keys, next_page_token)| wire::ListApiKeysResponse {
            api_keys: keys.into_iter().map(|key| render(key, String::new())).collect(),
            next_page_token,
        }))
    }

    async fn update_api_key(&self, request: Request<wire::UpdateApiKeyRequest>) -> Reply<wire::ApiKey> {
        let (caller, request) = caller(request)?;
        reply(self.rename_key(&caller, request).await)
    }

    async fn delete_api_key(&self, request: Request<wire::DeleteApiKeyRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done = async { self.auth.delete_api_key(&caller, ApiKeyName::parse_field("name", &request.name)?).await };
        reply(done.await)
    }

    async fn rotate_api_key(&self, request: Request<wire::RotateApiKeyRequest>) -> Reply<wire::ApiKey> {
        let (caller, request) = caller(request)?;
        let made = async { self.auth.rotate_api_key(&caller, ApiKeyName::parse_field("name", &request.name)?).await };
        reply(made.await.map(|(key, secret)| render(key, secret)))
    }

    async fn create_service_account(
        &self,
        request: Request<wire::CreateServiceAccountRequest>,
    ) -> Reply<wire::ServiceAccount> {
        let (caller, request) = caller(request)?;
        reply(self.make_account(&caller, &request).await)
    }

    async fn get_service_account(
        &self,
        request: Request<wire::GetServiceAccountRequest>,
    ) -> Reply<wire::ServiceAccount> {
        let (caller, request) = caller(request)?;
        let found =
            async { self.auth.service_account(&caller, ServiceAccountName::parse_field("name", &request.name)?).await };
        reply(found.await.map(render_account))
    }

    async fn list_service_accounts(
        &self,
        request: Request<wire::ListServiceAccountsRequest>,
    ) -> Reply<wire::ListServiceAccountsResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found =
            async { self.auth.service_accounts(&caller, organization_id("parent", &request.parent)?, &page).await };
        reply(found.await.map(|(accounts, next_page_token)| wire::ListServiceAccountsResponse {
            service_accounts: accounts.into_iter().map(render_account).collect(),
            next_page_token,
        }))
    }

    async fn delete_service_account(&self, request: Request<wire::DeleteServiceAccountRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done = async {
            self.auth.delete_service_account(&caller, ServiceAccountName::parse_field("name", &request.name)?).await
        };
        reply(done.await)
    }
}

impl Rpc {
    async fn make_key(&self, caller: &Caller, request: wire::CreateApiKeyRequest) -> Result<wire::ApiKey, Error> {
        let organization = organization_id("parent", &request.parent)?;
        let sent = request.api_key.unwrap_or_default();
        let end = sent.expire_time.as_ref().and_then(from_timestamp);
        let new = NewApiKey {
            owner: owner(caller, &sent.owner)?,
            display_name: DisplayName::parse("api_key.display_name", &sent.display_name)?,
            scopes: KeyScopes::parse(sent.scopes, is_permission)?,
            expire_time: end
                .ok_or_else(|| api::Error::invalid_field("api_key.expire_time", "is missing or no time"))?,
        };
        let (key, secret) = self.auth.create_api_key(caller, organization, new).await?;
        Ok(render(key, secret))
    }

    /// Owner, scopes and end are immutable: a mask that names one of them is refused.
    async fn rename_key(&self, caller: &Caller, request: wire::UpdateApiKeyRequest) -> Result<wire::ApiKey, Error> {
        let sent = request.api_key.unwrap_or_default();
        let name = ApiKeyName::parse_field("api_key.name", &sent.name)?;
        let populated: &[&str] = if sent.display_name.is_empty() { &[] } else { &["display_name"] };
        let ignored = ["name", "create_time", "last_use_time", "secret", "etag"];
        let mask = Mask::parse(request.update_mask.as_ref(), &["display_name"], &ignored, populated)?;
        let new = mask.has("display_name").then(|| DisplayName::parse("api_key.display_name", &sent.display_name));
        let key = self.auth.rename_api_key(caller, name, &sent.etag, new.transpose()?).await?;
        Ok(render(key, String::new()))
    }

    async fn make_account(
        &self,
        caller: &Caller,
        request: &wire::CreateServiceAccountRequest,
    ) -> Result<wire::ServiceAccount, Error> {
        let once = Once::new(caller, &request.request_id, request);
        let organization = organization_id("parent", &request.parent)?;
        let sent = request.service_account.clone().unwrap_or_default();
        let display_name = DisplayName::parse("service_account.display_name", &sent.display_name)?;
        let role = role("service_account.role", sent.role)?;
        let made = self.auth.create_service_account(caller, organization, display_name, role, &once).await?;
        Ok(render_account(made))
    }
}

/// A user, or the user that a service account is a member as.
fn owner(caller: &Caller, name: &str) -> Result<Option<UserId>, Error> {
    if name.is_empty() || name == "users/me" {
        return Ok(None);
    }
    if name.starts_with("users/") {
        return Ok(Some(super::user_id("api_key.owner", name)?));
    }
    let ServiceAccountName { organization, account } = ServiceAccountName::parse_field("api_key.owner", name)?;
    if caller.organization()? == organization { Ok(Some(UserId(account))) } else { Err(api::Error::denied().into()) }
}

fn is_permission(scope: &str) -> bool {
    proto::methods().iter().any(|method| {
        let rule = method.access.as_ref().map(|access| &access.rule);
        matches!(rule, Some(Rule::Permission(permission)) if permission == scope)
    })
}

fn render(key: ApiKey, secret: String) -> wire::ApiKey {
    let owner = match key.of_service {
        true => ServiceAccountName { organization: key.organization, account: key.owner.0 }.to_string(),
        false => key.owner.name(),
    };
    wire::ApiKey {
        name: key.name().to_string(),
        display_name: key.display_name,
        owner,
        scopes: key.scopes,
        expire_time: Some(timestamp(key.expire_time)),
        create_time: Some(timestamp(key.create_time)),
        last_use_time: key.last_use_time.map(timestamp),
        etag: Etag::of_version(key.version),
        secret,
    }
}

fn render_account(account: ServiceAccount) -> wire::ServiceAccount {
    wire::ServiceAccount {
        name: account.name().to_string(),
        display_name: account.display_name,
        role: render_role(account.role),
        user: account.user.name(),
        create_time: Some(timestamp(account.create_time)),
    }
}
