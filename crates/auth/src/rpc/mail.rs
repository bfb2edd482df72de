//! `MailService`.
use mesh::{Reply, caller, reply};
use proto::auth::v1::{self as wire, mail_service_server::MailService};
use tonic::Request;

use super::Rpc;
use crate::{
    error::Error,
    model::{DisplayName, Purpose},
    service::SignUp,
};

#[tonic::async_trait]
impl MailService for Rpc {
    async fn sign_up(&self, request: Request<wire::SignUpRequest>) -> Reply<wire::SignUpResponse> {
        let (caller, request) = caller(request)?;
        let done = async {
            let sign_up = SignUp {
                email: request.email,
                display_name: DisplayName::parse("display_name", &request.display_name)?,
                password: request.password,
                invitation: request.invitation,
            };
            self.auth.sign_up(caller.context(), sign_up).await
        };
        reply(done.await.map(|()| wire::SignUpResponse {}))
    }

    async fn request_email_verification(
        &self,
        request: Request<wire::RequestEmailVerificationRequest>,
    ) -> Reply<wire::RequestEmailVerificationResponse> {
        let (caller, request) = caller(request)?;
        let done = self.auth.request_mail(caller.context(), Purpose::VerifyEmail, &request.email).await;
        reply(done.map(|()| wire::RequestEmailVerificationResponse {}))
    }

    async fn lookup_verification(
        &self,
        request: Request<wire::LookupVerificationRequest>,
    ) -> Reply<wire::LookupVerificationResponse> {
        let (caller, request) = caller(request)?;
        reply(self.auth.look_up_verification(caller.context(), &request.token).await.map(|(mail, password_needed)| {
            wire::LookupVerificationResponse {
                email: mail.email,
                display_name: mail.display_name,
                sign_up: mail.purpose == Purpose::SignUp,
                password_needed,
            }
        }))
    }

    async fn verify_email(&self, request: Request<wire::VerifyEmailRequest>) -> Reply<wire::VerifyEmailResponse> {
        let (caller, request) = caller(request)?;
        let done = self.auth.verify_email(&caller, &request.token, &request.password).await;
        reply(done.map(|()| wire::VerifyEmailResponse {}))
    }

    async fn request_password_reset(
        &self,
        request: Request<wire::RequestPasswordResetRequest>,
    ) -> Reply<wire::RequestPasswordResetResponse> {
        let (caller, request) = caller(request)?;
        let done = self.auth.request_mail(caller.context(), Purpose::ResetPassword, &request.email).await;
        reply(done.map(|()| wire::RequestPasswordResetResponse {}))
    }

    async fn reset_password(&self, request: Request<wire::ResetPasswordRequest>) -> Reply<wire::ResetPasswordResponse> {
        let (caller, request) = caller(request)?;
        let done: Result<(), Error> =
            self.auth.reset_password(caller.context(), &request.token, &request.new_password).await;
        reply(done.map(|()| wire::ResetPasswordResponse {}))
    }
}
