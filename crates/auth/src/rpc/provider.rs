//! `IdentityProviderService` and `IdentityService`.
use api::{Caller, Etag, Mask, timestamp};
use mesh::{Reply, caller, reply};
use proto::auth::v1::{
    self as wire, identity_provider_service_server::IdentityProviderService, identity_service_server::IdentityService,
};
use time::OffsetDateTime;
use tonic::Request;

use super::{Rpc, oneself, organization_id, page};
use crate::{
    error::Error,
    model::{DisplayName, Identity, IdentityName, Plain, Protocol, Provider, ProviderName},
    service::ProviderChange,
};

#[tonic::async_trait]
impl IdentityProviderService for Rpc {
    async fn create_identity_provider(
        &self,
        request: Request<wire::CreateIdentityProviderRequest>,
    ) -> Reply<wire::IdentityProvider> {
        let (caller, request) = caller(request)?;
        reply(self.add_provider(&caller, request).await)
    }

    async fn get_identity_provider(
        &self,
        request: Request<wire::GetIdentityProviderRequest>,
    ) -> Reply<wire::IdentityProvider> {
        let (caller, request) = caller(request)?;
        let found = async { self.auth.provider(&caller, ProviderName::parse_field("name", &request.name)?).await };
        reply(found.await.map(|provider| self.render_provider(provider)))
    }

    async fn list_identity_providers(
        &self,
        request: Request<wire::ListIdentityProvidersRequest>,
    ) -> Reply<wire::ListIdentityProvidersResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found = async { self.auth.providers(&caller, organization_id("parent", &request.parent)?, &page).await };
        reply(found.await.map(|(providers, next_page_token)| wire::ListIdentityProvidersResponse {
            identity_providers: providers.into_iter().map(|provider| self.render_provider(provider)).collect(),
            next_page_token,
        }))
    }

    async fn update_identity_provider(
        &self,
        request: Request<wire::UpdateIdentityProviderRequest>,
    ) -> Reply<wire::IdentityProvider> {
        let (caller, request) = caller(request)?;
        reply(self.change_provider(&caller, request).await)
    }

    async fn delete_identity_provider(&self, request: Request<wire::DeleteIdentityProviderRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done =
            async { self.auth.delete_provider(&caller, ProviderName::parse_field("name", &request.name)?).await };
        reply(done.await)
    }

    async fn test_identity_provider(
        &self,
        request: Request<wire::TestIdentityProviderRequest>,
    ) -> Reply<wire::TestIdentityProviderResponse> {
        let (caller, request) = caller(request)?;
        let done = async { self.auth.test_provider(&caller, ProviderName::parse_field("name", &request.name)?).await };
        reply(done.await.map(|problem| wire::TestIdentityProviderResponse { problem }))
    }
}

#[tonic::async_trait]
impl IdentityService for Rpc {
    async fn get_identity(&self, request: Request<wire::GetIdentityRequest>) -> Reply<wire::Identity> {
        let (caller, request) = caller(request)?;
        let found = async { self.auth.identity(&caller, own_identity(&caller, &request.name)?).await };
        reply(found.await.map(render_identity))
    }

    async fn list_identities(
        &self,
        request: Request<wire::ListIdentitiesRequest>,
    ) -> Reply<wire::ListIdentitiesResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found = async { self.auth.identities(&caller, oneself(&caller, "parent", &request.parent)?, &page).await };
        reply(found.await.map(|(identities, next_page_token)| wire::ListIdentitiesResponse {
            identities: identities.into_iter().map(render_identity).collect(),
            next_page_token,
        }))
    }

    async fn delete_identity(&self, request: Request<wire::DeleteIdentityRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done = async { self.auth.delete_identity(&caller, own_identity(&caller, &request.name)?).await };
        reply(done.await)
    }
}

impl Rpc {
    async fn add_provider(
        &self,
        caller: &Caller,
        request: wire::CreateIdentityProviderRequest,
    ) -> Result<wire::IdentityProvider, Error> {
        let organization = organization_id("parent", &request.parent)?;
        let sent = request.identity_provider.unwrap_or_default();
        let secret = secret(&sent.client_secret)?.to_owned();
        let provider = parse(organization, sent)?;
        Ok(self.render_provider(self.auth.create_provider(caller, organization, provider, &secret).await?))
    }

    async fn change_provider(
        &self,
        caller: &Caller,
        request: wire::UpdateIdentityProviderRequest,
    ) -> Result<wire::IdentityProvider, Error> {
        const CHANGEABLE: [&str; 5] = ["display_name", "client_id", "client_secret", "scopes", "hosts"];
        const KEPT: [&str; 14] = [
            "name",
            "protocol",
            "issuer",
            "authorization_endpoint",
            "token_endpoint",
            "userinfo_endpoint",
            "email_endpoint",
            "subject_path",
            "email_path",
            "email_verified_path",
            "redirect_uri",
            "etag",
            "create_time",
            "update_time",
        ];
        let sent = request.identity_provider.unwrap_or_default();
        let name = ProviderName::parse_field("identity_provider.name", &sent.name)?;
        let set = [
            !sent.display_name.is_empty(),
            !sent.client_id.is_empty(),
            !sent.client_secret.is_empty(),
            !sent.scopes.is_empty(),
            !sent.hosts.is_empty(),
        ];
        let populated: Vec<&str> =
            CHANGEABLE.into_iter().zip(set).filter(|(_, set)| *set).map(|(name, _)| name).collect();
        let mask = Mask::parse(request.update_mask.as_ref(), &CHANGEABLE, &KEPT, &populated)?;
        let display_name = mask.has("display_name").then(|| display_name(&sent.display_name)).transpose()?;
        let secret = mask.has("client_secret").then(|| secret(&sent.client_secret)).transpose()?;
        let change = ProviderChange {
            display_name,
            client_id: mask.has("client_id").then_some(sent.client_id),
            secret: secret.map(str::to_owned),
            scopes: mask.has("scopes").then_some(sent.scopes),
            hosts: mask.has("hosts").then_some(sent.hosts),
        };
        Ok(self.render_provider(self.auth.update_provider(caller, name, &sent.etag, change).await?))
    }

    fn render_provider(&self, provider: Provider) -> wire::IdentityProvider {
        let protocol = match provider.protocol {
            Protocol::Oidc => wire::identity_provider::Protocol::Oidc,
            Protocol::OAuth => wire::identity_provider::Protocol::Oauth2,
        };
        wire::IdentityProvider {
            name: provider.name.to_string(),
            display_name: provider.display_name,
            protocol: protocol.into(),
            issuer: provider.issuer,
            client_id: provider.client_id,
            client_secret: String::new(),
            scopes: provider.scopes,
            hosts: provider.hosts,
            authorization_endpoint: provider.plain.authorization_endpoint,
            token_endpoint: provider.plain.token_endpoint,
            userinfo_endpoint: provider.plain.userinfo_endpoint,
            email_endpoint: provider.plain.email_endpoint,
            subject_path: provider.plain.subject_path,
            email_path: provider.plain.email_path,
            email_verified_path: provider.plain.email_verified_path,
            redirect_uri: self.auth.callback(provider.name),
            etag: Etag::of_version(provider.version),
            create_time: Some(timestamp(provider.create_time)),
            update_time: Some(timestamp(provider.update_time)),
        }
    }
}

/// A provider as sent; its id and times are given by the service.
fn parse(organization: api::OrganizationId, sent: wire::IdentityProvider) -> Result<Provider, Error> {
    let protocol = Protocol::of_number(sent.protocol)
        .ok_or_else(|| api::Error::invalid_field("identity_provider.protocol", "must be OIDC or OAUTH2"))?;
    Ok(Provider {
        name: ProviderName { organization, provider: api::Id::ZERO },
        display_name: display_name(&sent.display_name)?,
        protocol,
        issuer: sent.issuer,
        client_id: sent.client_id,
        scopes: sent.scopes,
        hosts: sent.hosts,
        plain: Plain {
            authorization_endpoint: sent.authorization_endpoint,
            token_endpoint: sent.token_endpoint,
            userinfo_endpoint: sent.userinfo_endpoint,
            email_endpoint: sent.email_endpoint,
            subject_path: sent.subject_path,
            email_path: sent.email_path,
            email_verified_path: sent.email_verified_path,
        },
        version: 1,
        create_time: OffsetDateTime::UNIX_EPOCH,
        update_time: OffsetDateTime::UNIX_EPOCH,
    })
}

fn display_name(text: &str) -> Result<String, Error> {
    Ok(DisplayName::parse("identity_provider.display_name", text)?.0)
}

fn secret(text: &str) -> Result<&str, Error> {
    if (1..=1024).contains(&text.len()) {
        return Ok(text);
    }
    Err(api::Error::invalid_field("identity_provider.client_secret", "must have 1 to 1,024 bytes").into())
}

/// A linked account named by its user.
fn own_identity(caller: &Caller, name: &str) -> Result<IdentityName, Error> {
    let full = match name.strip_prefix("users/me/") {
        Some(rest) => format!("{}/{rest}", caller.user_required()?.name()),
        None => name.to_owned(),
    };
    Ok(IdentityName::parse_field("name", &full)?)
}

fn render_identity(identity: Identity) -> wire::Identity {
    wire::Identity {
        name: identity.name.to_string(),
        issuer: identity.issuer,
        subject: identity.subject,
        email: identity.email,
        create_time: Some(timestamp(identity.create_time)),
    }
}
