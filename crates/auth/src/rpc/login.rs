//! `LoginService`.
use api::CallContext;
use mesh::{Reply, caller, reply};
use proto::auth::v1::{
    self as wire,
    continue_login_request::Answer,
    login_service_server::LoginService,
    login_step::{
        self, DoneStep, OrganizationStep, PasswordStep, Provider, SecondFactorStep, SocialStep,
        organization_step::Choice, second_factor_step::Method,
    },
};
use tonic::Request;

use super::{Rpc, organization_id};
use crate::{
    error::Error,
    model::{ProviderName, SecondFactor},
    service::{FirstFactor, FlowStart, FromMail, Returned, Step},
};

#[tonic::async_trait]
impl LoginService for Rpc {
    async fn start_login(&self, request: Request<wire::StartLoginRequest>) -> Reply<wire::LoginStep> {
        let (caller, request) = caller(request)?;
        let wire::StartLoginRequest { client_id, redirect_uri, code_challenge, code_challenge_method, state, again } =
            request;
        let start = beginning([client_id, redirect_uri, code_challenge, code_challenge_method, state], again);
        reply(self.auth.start_login(caller.context(), start).await.map(render))
    }

    async fn start_social_login(&self, request: Request<wire::StartSocialLoginRequest>) -> Reply<wire::LoginStep> {
        let (caller, request) = caller(request)?;
        let started = async {
            let provider = ProviderName::parse_field("provider", &request.provider)?;
            self.auth.start_social(caller.context(), &request.flow, provider).await
        };
        reply(Box::pin(started).await.map(render))
    }

    async fn finish_social_login(&self, request: Request<wire::FinishSocialLoginRequest>) -> Reply<wire::LoginStep> {
        let (caller, request) = caller(request)?;
        let wire::FinishSocialLoginRequest { flow, state, code, issuer, device, identity_provider_id: provider } =
            request;
        let back = Returned { state, provider, code, issuer, device };
        reply(Box::pin(self.auth.finish_social(caller.context(), &flow, back)).await.map(render))
    }

    async fn start_step_up(&self, request: Request<wire::StartStepUpRequest>) -> Reply<wire::LoginStep> {
        let (caller, request) = caller(request)?;
        let wire::StartStepUpRequest { client_id, redirect_uri, code_challenge, code_challenge_method, state } =
            request;
        let start = beginning([client_id, redirect_uri, code_challenge, code_challenge_method, state], true);
        reply(self.auth.start_step_up(&caller, start).await.map(render))
    }

    async fn request_email_code(
        &self,
        request: Request<wire::RequestEmailCodeRequest>,
    ) -> Reply<wire::RequestEmailCodeResponse> {
        let (caller, request) = caller(request)?;
        let done = self.auth.request_email_code(caller.context(), &request.flow, &request.email).await;
        reply(done.map(|()| wire::RequestEmailCodeResponse {}))
    }

    async fn continue_login(&self, request: Request<wire::ContinueLoginRequest>) -> Reply<wire::LoginStep> {
        let (caller, request) = caller(request)?;
        reply(Box::pin(self.step(caller.context(), request)).await.map(render))
    }
}

impl Rpc {
    async fn step(&self, context: &CallContext, request: wire::ContinueLoginRequest) -> Result<Step, Error> {
        match request.answer {
            Some(Answer::Password(answer)) => {
                let given = FirstFactor { email: answer.email, password: answer.password, device: request.device };
                self.auth.prove(context, &request.flow, given).await
            }
            Some(Answer::Totp(code)) => self.auth.prove_totp(context, &request.flow, &code).await,
            Some(Answer::RecoveryCode(code)) => self.auth.prove_recovery(context, &request.flow, &code).await,
            Some(Answer::EmailCode(code)) => {
                self.auth.prove_mailbox(context, &request.flow, FromMail::Code(&code), &request.device).await
            }
            Some(Answer::EmailLink(token)) => {
                self.auth.prove_mailbox(context, &request.flow, FromMail::Link(&token), &request.device).await
            }
            Some(Answer::Organization(name)) => {
                self.auth.choose_organization(context, &request.flow, organization_id("organization", &name)?).await
            }
            Some(Answer::Passkey(answer)) => {
                self.auth.prove_passkey(context, &request.flow, &answer, &request.device).await
            }
            None => Err(api::Error::invalid_field("answer", "is missing; send what the step asks for").into()),
        }
    }
}

/// Parameters of the two requests that begin a flow, in the order of their fields.
fn beginning([client, redirect_uri, challenge, method, state]: [String; 5], again: bool) -> FlowStart {
    FlowStart { client, redirect_uri, challenge, method, state, again }
}

fn render(step: Step) -> wire::LoginStep {
    let life = step.life();
    let expire_after = Some(prost_types::Duration { seconds: life.whole_seconds(), nanos: 0 });
    let (flow, step) = match step {
        Step::Password { flow, email, passkey, providers, sign_up } => {
            let providers =
                providers.into_iter().map(|(name, display_name)| Provider { provider: name.to_string(), display_name });
            let providers = providers.collect();
            (flow, login_step::Step::Password(PasswordStep { email, passkey_options: passkey, providers, sign_up }))
        }
        Step::Social { flow, uri } => (flow, login_step::Step::Social(SocialStep { authorization_uri: uri })),
        Step::SecondFactor { flow, methods, passkey } => {
            let methods = methods.into_iter().map(|method| i32::from(render_method(method))).collect();
            (flow, login_step::Step::SecondFactor(SecondFactorStep { methods, passkey_options: passkey }))
        }
        Step::Organization { flow, choices } => {
            let choices =
                choices.into_iter().map(|(id, display_name)| Choice { organization: id.name(), display_name });
            (flow, login_step::Step::ChooseOrganization(OrganizationStep { choices: choices.collect() }))
        }
        Step::Done { code, redirect_uri, device, recovery_left } => {
            let recovery_codes_left = recovery_left.map(i32::from);
            (String::new(), login_step::Step::Done(DoneStep { code, redirect_uri, device, recovery_codes_left }))
        }
    };
    wire::LoginStep { flow, expire_after, step: Some(step) }
}

fn render_method(method: SecondFactor) -> Method {
    match method {
        SecondFactor::Totp => Method::Totp,
        SecondFactor::Recovery => Method::RecoveryCode,
        SecondFactor::Passkey => Method::Passkey,
    }
}
