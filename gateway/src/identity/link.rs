//! Pages behind the links of mails: following a link only shows a page, so that a scanner of mails changes nothing; the form on it acts.
//!
//! The address with the secret is told to nobody (no referrer). The token is proof enough: what comes without it changes nothing.
use http::{Response, StatusCode};
use hyper::body::Incoming;
use proto::auth::v1::{
    ResetPasswordRequest, SignUpRequest, VerifyEmailRequest, mail_service_client::MailServiceClient,
};
use tonic::{Status, body::Body};

use super::{
    Endpoint, invitation,
    pages::{self, NEW_PASSWORD},
    parameters::Parameters,
};
use crate::{edge::Edge, filter::Passage, form, refusal::Refusal};

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Prove an address.
    Verify,
    /// Choose a new password.
    Reset,
    /// Join an organization.
    Invitation,
}

/// `GET /auth/link/...`: a page with a form.
pub(crate) async fn show(edge: &Edge, passage: &Passage, link: Link) -> Result<Response<Body>, Refusal> {
    let Some(token) = token(passage) else { return Ok(over(StatusCode::BAD_REQUEST)) };
    let action = Endpoint::Act(link).path();
    Ok(match link {
        Link::Verify => pages::link("Confirm your address", action, &token, ("", "", "Confirm")),
        Link::Reset => pages::link("Choose a new password", action, &token, ("", NEW_PASSWORD, "Change the password")),
        Link::Invitation => return invitation::show(edge, passage, &token).await,
    })
}

/// What the link carries.
pub(super) fn token(passage: &Passage) -> Option<String> {
    let query = passage.head.uri.query().unwrap_or_default();
    let token = form::value(query, "token").and_then(form::decoded).and_then(|bytes| String::from_utf8(bytes).ok());
    token.filter(|token| !token.is_empty() && token.len() <= 128)
}

/// `POST /auth/link/.../done`: acts.
pub(crate) async fn act(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    link: Link,
) -> Result<Response<Body>, Refusal> {
    let Ok(mut form) = Parameters::read(edge, &passage, incoming).await? else {
        return Ok(over(StatusCode::BAD_REQUEST));
    };
    if link == Link::Invitation && form.has("accept") {
        return invitation::accept(edge, &passage, form.take("token")).await;
    }
    let mut client = MailServiceClient::new(edge.mesh.as_workload("auth", &passage.context));
    let mut take = |name: &str| form.take(name);
    let (token, password, display_name) = (take("token"), take("password"), take("display_name"));
    let (done, told) = match link {
        Link::Verify => {
            (client.verify_email(VerifyEmailRequest { token }).await.map(drop), "Your address is confirmed.")
        }
        Link::Reset => {
            let request = ResetPasswordRequest { token, new_password: password };
            let told = "Your password is changed and all sessions have ended. Sign in with the new one.";
            (client.reset_password(request).await.map(drop), told)
        }
        Link::Invitation => {
            let request = SignUpRequest { email: String::new(), display_name, password, invitation: token };
            (client.sign_up(request).await.map(drop), "Welcome. You can sign in now.")
        }
    };
    match done {
        Ok(()) => Ok(pages::message(StatusCode::OK, "Done", told)),
        Err(status) => refused(status),
    }
}

/// What the reader can do something about is shown; everything else is an error of the edge.
pub(super) fn refused(status: Status) -> Result<Response<Body>, Refusal> {
    let error = api::Error::from_status(&status);
    match error.code() {
        api::Code::FailedPrecondition => Ok(over(StatusCode::GONE)),
        api::Code::InvalidArgument | api::Code::PermissionDenied | api::Code::AlreadyExists => {
            let text = format!("{}. Go back and try again.", error.message().trim_end_matches('.'));
            Ok(pages::message(StatusCode::BAD_REQUEST, "This did not work", &text))
        }
        _ => Err(error.into()),
    }
}

fn over(status: StatusCode) -> Response<Body> {
    let text = "The link was used, has ended, or a newer one has taken its place. Ask for a new mail.";
    pages::message(status, "The link is not good any more", text)
}
