//! The link of a mail that signs in. It is good in the browser alone that asked for it: what that sign-in needs lies in a cookie
//! meanwhile. Following the link only shows a page, so that a scanner of mails signs nobody in; the form on it acts.
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use proto::auth::v1::{ContinueLoginRequest, continue_login_request::Answer};
use tonic::body::Body;

use super::{
    Endpoint,
    away::Away,
    link,
    pages::{self, Hidden},
    parameters::Parameters,
    session::{Jar, is_same_origin},
    signin::{self, foreign, logins, unreadable, with_cookies},
};
use crate::{edge::Edge, filter::Passage, refusal::Refusal};

/// `GET /auth/link/magic` shows a form where the sign-in has begun, `POST` signs in.
pub(crate) async fn page(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    jar: Jar,
) -> Result<Response<Body>, Refusal> {
    if passage.head.method == Method::POST {
        return act(edge, &passage, incoming, jar).await;
    }
    let asked_here = !Away::hidden(jar, &passage.head.headers).is_empty();
    Ok(match link::token(&passage).filter(|_| asked_here) {
        Some(token) => pages::link("Sign in", Endpoint::Magic.path(), &token, (INTRO, "", "Sign in")),
        None => elsewhere(),
    })
}

const INTRO: &str = "<p>You asked for this link in this browser.</p>";

async fn act(edge: &Edge, passage: &Passage, incoming: Incoming, jar: Jar) -> Result<Response<Body>, Refusal> {
    let headers = &passage.head.headers;
    if !is_same_origin(&edge.public_url, headers) {
        return Ok(foreign());
    }
    let (kept, browser) = (Away::hidden(jar, headers), jar.flow(headers).map(str::to_owned));
    let Some(browser) = browser.filter(|_| !kept.is_empty()) else { return Ok(elsewhere()) };
    let token = match Parameters::read(edge, passage, incoming).await? {
        Ok(mut form) => form.take("token"),
        Err(problem) => return Ok(unreadable(problem)),
    };
    // The link does not say to which of them it belongs, and leaves the others as they are.
    for hidden in kept {
        let request = ContinueLoginRequest {
            flow: hidden.flow.clone(),
            answer: Some(Answer::EmailLink(token.clone())),
            device: jar.device(headers).unwrap_or_default().to_owned(),
        };
        let answer = logins(edge, passage).continue_login(request).await.map(tonic::Response::into_inner);
        if let Err(status) = &answer
            && api::Error::from_status(status).reason() == "MAIL_TOKEN_INVALID"
        {
            continue;
        }
        let used = if signin::is_over(&answer) { Away::end(jar, &hidden.flow) } else { None };
        let hidden = Hidden { return_to: signin::local(hidden.return_to), ..hidden };
        let page = signin::go_on(edge, passage, (jar, &browser), (hidden, "", None), answer).await?;
        return Ok(with_cookies(page, used));
    }
    Ok(over())
}

/// Nobody has asked for a link here.
fn elsewhere() -> Response<Body> {
    let text = "The link signs in where it was asked for, and nowhere else. Open it in that browser, or type the code of the mail there.";
    pages::unreferred(pages::message(StatusCode::FORBIDDEN, "You have not asked for this link here", text))
}

/// Links were asked for here, but not this one, or not as the last.
fn over() -> Response<Body> {
    let text = "The link was used, has ended, or was not the last one asked for in this browser. Ask for a new mail on the sign-in page.";
    pages::message(StatusCode::GONE, "The link is not good here", text)
}
