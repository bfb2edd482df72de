//! `PasskeyService`.
use api::{Caller, Etag, Mask, timestamp};
use mesh::{Reply, caller, reply};
use proto::auth::v1::{self as wire, passkey_service_server::PasskeyService};
use tonic::Request;

use super::{Rpc, oneself, page};
use crate::{
    error::Error,
    model::{DisplayName, Passkey, PasskeyName},
    service::NewPasskey,
};

#[tonic::async_trait]
impl PasskeyService for Rpc {
    async fn start_passkey_registration(
        &self,
        request: Request<wire::StartPasskeyRegistrationRequest>,
    ) -> Reply<wire::StartPasskeyRegistrationResponse> {
        let (caller, request) = caller(request)?;
        let started =
            async { self.auth.start_registration(&caller, oneself(&caller, "parent", &request.parent)?).await };
        reply(started.await.map(|started| wire::StartPasskeyRegistrationResponse {
            registration: started.handle,
            options: started.options,
            expire_after: Some(prost_types::Duration { seconds: started.life.whole_seconds(), nanos: 0 }),
        }))
    }

    async fn finish_passkey_registration(
        &self,
        request: Request<wire::FinishPasskeyRegistrationRequest>,
    ) -> Reply<wire::FinishPasskeyRegistrationResponse> {
        let (caller, request) = caller(request)?;
        reply(self.register(&caller, request).await)
    }

    async fn get_passkey(&self, request: Request<wire::GetPasskeyRequest>) -> Reply<wire::Passkey> {
        let (caller, request) = caller(request)?;
        let found = async { self.auth.passkey(&caller, own_passkey(&caller, "name", &request.name)?).await };
        reply(found.await.map(render))
    }

    async fn list_passkeys(&self, request: Request<wire::ListPasskeysRequest>) -> Reply<wire::ListPasskeysResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found =
            async { self.auth.own_passkeys(&caller, oneself(&caller, "parent", &request.parent)?, &page).await };
        reply(found.await.map(|(passkeys, next_page_token)| wire::ListPasskeysResponse {
            passkeys: passkeys.into_iter().map(render).collect(),
            next_page_token,
        }))
    }

    async fn update_passkey(&self, request: Request<wire::UpdatePasskeyRequest>) -> Reply<wire::Passkey> {
        let (caller, request) = caller(request)?;
        reply(self.rename_passkey(&caller, request).await)
    }

    async fn delete_passkey(&self, request: Request<wire::DeletePasskeyRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done = async { self.auth.delete_passkey(&caller, own_passkey(&caller, "name", &request.name)?).await };
        reply(done.await)
    }
}

impl Rpc {
    async fn register(
        &self,
        caller: &Caller,
        request: wire::FinishPasskeyRegistrationRequest,
    ) -> Result<wire::FinishPasskeyRegistrationResponse, Error> {
        let user = oneself(caller, "parent", &request.parent)?;
        let display_name = DisplayName::parse("display_name", &request.display_name)?;
        let new = NewPasskey { registration: request.registration, credential: request.credential, display_name };
        let (passkey, recovery_codes) = self.auth.finish_registration(caller, user, new).await?;
        Ok(wire::FinishPasskeyRegistrationResponse { passkey: Some(render(passkey)), recovery_codes })
    }

    async fn rename_passkey(
        &self,
        caller: &Caller,
        request: wire::UpdatePasskeyRequest,
    ) -> Result<wire::Passkey, Error> {
        let sent = request.passkey.unwrap_or_default();
        let name = own_passkey(caller, "passkey.name", &sent.name)?;
        let populated: &[&str] = if sent.display_name.is_empty() { &[] } else { &["display_name"] };
        let ignored = ["name", "disabled", "etag", "create_time", "last_use_time"];
        let mask = Mask::parse(request.update_mask.as_ref(), &["display_name"], &ignored, populated)?;
        let new = mask
            .has("display_name")
            .then(|| DisplayName::parse("passkey.display_name", &sent.display_name))
            .transpose()?;
        Ok(render(self.auth.rename_passkey(caller, name, &sent.etag, new).await?))
    }
}

/// A passkey named by its user.
fn own_passkey(caller: &Caller, field: &str, name: &str) -> Result<PasskeyName, Error> {
    let full = match name.strip_prefix("users/me/") {
        Some(rest) => format!("{}/{rest}", caller.user_required()?.name()),
        None => name.to_owned(),
    };
    Ok(PasskeyName::parse_field(field, &full)?)
}

fn render(passkey: Passkey) -> wire::Passkey {
    wire::Passkey {
        name: passkey.name().to_string(),
        display_name: passkey.display_name,
        disabled: passkey.disabled,
        etag: Etag::of_version(passkey.version),
        create_time: Some(timestamp(passkey.create_time)),
        last_use_time: passkey.last_use_time.map(timestamp),
    }
}
