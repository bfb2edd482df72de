//! `FactorService`.
use api::{Caller, timestamp};
use mesh::{Reply, caller, reply};
use proto::auth::v1::{self as wire, factor_service_server::FactorService};
use tonic::Request;

use super::{Rpc, oneself, page};
use crate::{
    error::Error,
    model::{DisplayName, FactorKind, FactorName, MfaFactor},
};

#[tonic::async_trait]
impl FactorService for Rpc {
    async fn create_mfa_factor(&self, request: Request<wire::CreateMfaFactorRequest>) -> Reply<wire::MfaFactor> {
        let (caller, request) = caller(request)?;
        reply(self.enrol(&caller, request).await)
    }

    async fn confirm_mfa_factor(
        &self,
        request: Request<wire::ConfirmMfaFactorRequest>,
    ) -> Reply<wire::ConfirmMfaFactorResponse> {
        let (caller, request) = caller(request)?;
        let done =
            async { self.auth.confirm_factor(&caller, own_factor(&caller, &request.name)?, &request.code).await };
        reply(done.await.map(|(factor, recovery_codes)| wire::ConfirmMfaFactorResponse {
            mfa_factor: Some(render(factor)),
            recovery_codes,
        }))
    }

    async fn get_mfa_factor(&self, request: Request<wire::GetMfaFactorRequest>) -> Reply<wire::MfaFactor> {
        let (caller, request) = caller(request)?;
        let found = async { self.auth.factor(&caller, own_factor(&caller, &request.name)?).await };
        reply(found.await.map(render))
    }

    async fn list_mfa_factors(
        &self,
        request: Request<wire::ListMfaFactorsRequest>,
    ) -> Reply<wire::ListMfaFactorsResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found = async { self.auth.factors(&caller, oneself(&caller, "parent", &request.parent)?, &page).await };
        reply(found.await.map(|(factors, next_page_token)| wire::ListMfaFactorsResponse {
            mfa_factors: factors.into_iter().map(render).collect(),
            next_page_token,
        }))
    }

    async fn delete_mfa_factor(&self, request: Request<wire::DeleteMfaFactorRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done = async { self.auth.delete_factor(&caller, own_factor(&caller, &request.name)?).await };
        reply(done.await)
    }

    async fn regenerate_recovery_codes(
        &self,
        request: Request<wire::RegenerateRecoveryCodesRequest>,
    ) -> Reply<wire::RegenerateRecoveryCodesResponse> {
        let (caller, request) = caller(request)?;
        let codes = async { self.auth.regenerate_codes(&caller, oneself(&caller, "parent", &request.parent)?).await };
        reply(codes.await.map(|recovery_codes| wire::RegenerateRecoveryCodesResponse { recovery_codes }))
    }
}

impl Rpc {
    async fn enrol(&self, caller: &Caller, request: wire::CreateMfaFactorRequest) -> Result<wire::MfaFactor, Error> {
        let user = oneself(caller, "parent", &request.parent)?;
        let name = request.mfa_factor.unwrap_or_default().display_name;
        let made = self.auth.create_factor(caller, user, DisplayName::parse("mfa_factor.display_name", &name)?).await?;
        Ok(wire::MfaFactor { secret: made.secret, otpauth_uri: made.uri, ..render(made.factor) })
    }
}

/// A factor named by its user.
fn own_factor(caller: &Caller, name: &str) -> Result<FactorName, Error> {
    let full = match name.strip_prefix("users/me/") {
        Some(rest) => format!("{}/{rest}", caller.user_required()?.name()),
        None => name.to_owned(),
    };
    Ok(FactorName::parse_field("name", &full)?)
}

fn render(factor: MfaFactor) -> wire::MfaFactor {
    let kind = match factor.kind {
        FactorKind::Totp => wire::mfa_factor::Kind::Totp,
        FactorKind::Recovery => wire::mfa_factor::Kind::RecoveryCodes,
    };
    wire::MfaFactor {
        name: FactorName { user: factor.user, factor: factor.id }.to_string(),
        kind: kind.into(),
        display_name: factor.display_name,
        confirmed: factor.confirmed,
        create_time: Some(timestamp(factor.create_time)),
        last_use_time: factor.last_use_time.map(timestamp),
        remaining_codes: i32::try_from(factor.remaining).unwrap_or(i32::MAX),
        ..wire::MfaFactor::default()
    }
}
