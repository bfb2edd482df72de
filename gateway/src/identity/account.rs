//! What leads to a sign-in without one: a link for a forgotten password, a new account. The answers are the same for every address.
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use proto::auth::v1::{RequestPasswordResetRequest, SignUpRequest, mail_service_client::MailServiceClient};
use tonic::body::Body;

use super::{
    pages,
    parameters::Parameters,
    session::is_same_origin,
    signin::{foreign, unreadable},
};
use crate::{edge::Edge, filter::Passage, refusal::Refusal};

/// `GET` and `POST /signin/forgot`.
pub(crate) async fn forgotten(edge: &Edge, passage: Passage, incoming: Incoming) -> Result<Response<Body>, Refusal> {
    if passage.head.method != Method::POST {
        return Ok(pages::forgotten(None, ""));
    }
    let mut form = match sent(edge, &passage, incoming).await? {
        Ok(form) => form,
        Err(page) => return Ok(page),
    };
    let email = form.take("email");
    let mut mails = MailServiceClient::new(edge.mesh.as_workload("auth", &passage.context));
    match mails.request_password_reset(RequestPasswordResetRequest { email: email.clone() }).await {
        Ok(_) => Ok(look(&format!("If there is an account with {email}, a link is on its way to it."))),
        Err(status) => again(status, |note| pages::forgotten(Some(note), &email)),
    }
}

/// `GET` and `POST /signup`.
pub(crate) async fn sign_up(edge: &Edge, passage: Passage, incoming: Incoming) -> Result<Response<Body>, Refusal> {
    if passage.head.method != Method::POST {
        return Ok(pages::sign_up(None, ("", "")));
    }
    let mut form = match sent(edge, &passage, incoming).await? {
        Ok(form) => form,
        Err(page) => return Ok(page),
    };
    let (email, display_name, password) = (form.take("email"), form.take("display_name"), form.take("password"));
    let request =
        SignUpRequest { email: email.clone(), display_name: display_name.clone(), password, invitation: String::new() };
    let mut mails = MailServiceClient::new(edge.mesh.as_workload("auth", &passage.context));
    match mails.sign_up(request).await {
        Ok(_) => Ok(look(&format!("A link is on its way to {email}. The account exists once you have followed it."))),
        Err(status) => again(status, |note| pages::sign_up(Some(note), (&display_name, &email))),
    }
}

/// The form of a page of ours; otherwise what to answer.
async fn sent(
    edge: &Edge,
    passage: &Passage,
    incoming: Incoming,
) -> Result<Result<Parameters, Response<Body>>, Refusal> {
    if !is_same_origin(&edge.public_url, &passage.head.headers) {
        return Ok(Err(foreign()));
    }
    Ok(Parameters::read(edge, passage, incoming).await?.map_err(unreadable))
}

fn look(text: &str) -> Response<Body> {
    pages::message(StatusCode::OK, "Look into your mail", text)
}

/// The same page once more, where the reader can do something about what was wrong.
fn again(status: tonic::Status, page: impl FnOnce(&str) -> Response<Body>) -> Result<Response<Body>, Refusal> {
    let error = api::Error::from_status(&status);
    match error.code() {
        api::Code::InvalidArgument | api::Code::PermissionDenied | api::Code::FailedPrecondition => {
            Ok(page(error.message()))
        }
        _ => Err(error.into()),
    }
}
