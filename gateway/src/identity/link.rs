//! Pages behind the links of mails: following a link only shows a page, so that a scanner of mails changes nothing; the form on it acts.
//!
//! The address with the secret is told to nobody else (no referrer beyond this host). The token is proof enough: what comes without it changes
//! nothing. Another address of an account takes more, its password or, where it has none, who is signed in to it in this browser.
use http::{Response, StatusCode};
use hyper::body::Incoming;
use proto::auth::v1::{
    LookupVerificationRequest, ResetPasswordRequest, SignUpRequest, VerifyEmailRequest,
    mail_service_client::MailServiceClient,
};
use tonic::{Status, body::Body};

use super::{
    Endpoint, invitation,
    pages::{self, NEW_PASSWORD, OWN_PASSWORD, escaped},
    parameters::Parameters,
    session::{Jar, is_same_origin},
};
use crate::{edge::Edge, filter::Passage, form, refusal::Refusal};

/// What the first proof of an address does to an account that somebody else may have set up.
pub(super) const ENDS: &str = "<p>If no address of the account was ever confirmed before, what was set up to sign in to it ends: its \
     password, passkeys and codes. Then choose a new password by mail.</p>";

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
pub(crate) async fn show(edge: &Edge, passage: &Passage, jar: Jar, link: Link) -> Result<Response<Body>, Refusal> {
    let Some(token) = token(passage) else { return Ok(over(StatusCode::BAD_REQUEST)) };
    shown(edge, passage, jar, (link, &token), None).await
}

/// The form behind a link; with a note, what was wrong with the answer to it.
async fn shown(
    edge: &Edge,
    passage: &Passage,
    jar: Jar,
    (link, token): (Link, &str),
    note: Option<&str>,
) -> Result<Response<Body>, Refusal> {
    let action = Endpoint::Act(link).path();
    let show = |title: &str, parts: (&str, &str, &str)| match note {
        Some(note) => pages::link_again(title, action, token, parts, note),
        None => pages::link(title, action, token, parts),
    };
    match link {
        Link::Verify => {
            let request = LookupVerificationRequest { token: token.to_owned() };
            let found = match mails(edge, passage).lookup_verification(request).await {
                Ok(found) => found.into_inner(),
                Err(status) => return refused(status),
            };
            let (address, name) = (escaped(&found.email), escaped(&found.display_name));
            let inputs = if found.password_needed { OWN_PASSWORD } else { "" };
            let (about, button) = match (found.sign_up, found.password_needed) {
                (true, _) => ("This makes an account for", "Make the account"),
                (false, true) => ("This gives another address to the account of", "Confirm"),
                (false, false) => ("This belongs to the account of", "Confirm"),
            };
            let ends = if found.sign_up { "" } else { ENDS };
            let intro =
                format!("<p>{about} {name}: {address}.</p>{ends}<p>If you did not ask for this, close this page.</p>");
            Ok(show("Confirm your address", (&intro, inputs, button)))
        }
        Link::Reset => Ok(show("Choose a new password", ("", NEW_PASSWORD, "Change the password"))),
        Link::Invitation => invitation::show(edge, passage, jar, token, note).await,
    }
}

fn mails(edge: &Edge, passage: &Passage) -> MailServiceClient<mesh::client::Channel> {
    MailServiceClient::new(edge.mesh.as_workload("auth", &passage.context))
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
    jar: Jar,
    link: Link,
) -> Result<Response<Body>, Refusal> {
    let Ok(mut form) = Parameters::read(edge, &passage, incoming).await? else {
        return Ok(over(StatusCode::BAD_REQUEST));
    };
    if link == Link::Invitation && form.has("accept") {
        return invitation::accept(edge, &passage, jar, form.take("token")).await;
    }
    let mut client = mails(edge, &passage);
    let mut take = |name: &str| form.take(name);
    let (token, password, display_name) = (take("token"), take("password"), take("display_name"));
    let sent = token.clone();
    let (done, told) = match link {
        Link::Verify => {
            let request = VerifyEmailRequest { token, password };
            (verify(edge, &passage, jar, request).await, "Your address is confirmed.")
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
    let Err(status) = done else { return Ok(pages::done(told, (Endpoint::SignIn, "Sign in"))) };
    let error = api::Error::from_status(&status);
    match error.code() {
        _ if error.reason() == "SIGN_IN_NEEDED" => Ok(owner_needed(link, &sent)),
        // The reader can do something about it, and the link is still good.
        api::Code::InvalidArgument | api::Code::PermissionDenied | api::Code::AlreadyExists => {
            shown(edge, &passage, jar, (link, &sent), Some(error.message())).await
        }
        _ => refused(status),
    }
}

/// Proves an address; where that takes its owner's session, in that of this browser.
async fn verify(edge: &Edge, passage: &Passage, jar: Jar, request: VerifyEmailRequest) -> Result<(), Status> {
    let needed = match mails(edge, passage).verify_email(request.clone()).await {
        Err(status) if reason(&status) == "SIGN_IN_NEEDED" => status,
        done => return done.map(drop),
    };
    let headers = &passage.head.headers;
    // A form from elsewhere confirms nothing for who is signed in here.
    let session = jar.session(headers).filter(|_| is_same_origin(&edge.public_url, headers));
    let Some(session) = session else { return Err(needed) };
    let done = match verify_as(edge, passage, session, request.clone()).await {
        // What the person may do has changed since the internal token was made: a new one, once.
        Err(status) if status.metadata().contains_key(mesh::STALE_KEY) => {
            verify_as(edge, passage, session, request).await
        }
        done => done,
    };
    // A session that is over is none.
    done.map_err(|status| if status.code() == tonic::Code::Unauthenticated { needed } else { status })
}

async fn verify_as(edge: &Edge, passage: &Passage, session: &str, request: VerifyEmailRequest) -> Result<(), Status> {
    let principal = edge.credentials.visitor(session, &passage.context).await?;
    let channel = edge.mesh.with_token("auth", principal.token.clone(), &passage.context);
    let done = MailServiceClient::new(channel).verify_email(request).await;
    // A first proof ends the session; a stale token is of no use either.
    edge.credentials.forget(&principal).await;
    done.map(drop)
}

fn reason(status: &Status) -> String {
    api::Error::from_status(status).reason().to_owned()
}

/// Nobody is signed in here to the account that gets another address, or somebody else is.
fn owner_needed(link: Link, token: &str) -> Response<Body> {
    let intro = "<p role=\"alert\">The account that gets this address has no password. Sign in to it, and you come back here.</p>\
                 <p>If you did not ask for this, close this page.</p>";
    let mut page = sign_in(link, "Confirm your address", token, (intro, "Sign in"));
    *page.status_mut() = StatusCode::BAD_REQUEST;
    page
}

/// To the sign-in, though somebody may be signed in, and back to the page of the link.
pub(super) fn sign_in(link: Link, title: &str, token: &str, (intro, button): (&str, &str)) -> Response<Body> {
    let mut back = format!("{}?token=", Endpoint::Show(link).path());
    form::encode(token.as_bytes(), &mut back);
    pages::sign_in_first(title, intro, &[("prompt", "login"), ("return_to", &back)], button)
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
