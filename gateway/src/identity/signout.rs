//! Signing out, by a person himself or for an application (OpenID Connect RP-Initiated Logout 1.0).
use http::{HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use proto::auth::v1::{EndBrowserSessionRequest, EndBrowserSessionResponse};
use tonic::body::Body;

use super::{
    Endpoint, pages,
    parameters::Parameters,
    session::{Jar, came_without_cookies},
    signin::{browsers, unreadable, with_cookies},
};
use crate::{edge::Edge, filter::Passage, refusal::Refusal};

/// `GET` and `POST /oauth2/logout`. Whoever is sent here by an application with a good ID token is signed out; anybody else is asked.
pub(crate) async fn page(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    jar: Jar,
) -> Result<Response<Body>, Refusal> {
    let is_post = passage.head.method == Method::POST;
    let read = if is_post {
        Parameters::read(edge, &passage, incoming).await?
    } else {
        Parameters::parse(passage.head.uri.query().unwrap_or_default().as_bytes())
    };
    let mut sent = match read {
        Ok(sent) => sent,
        Err(problem) => return Ok(unreadable(problem)),
    };
    if came_without_cookies(&edge.public_url, &passage.head) {
        return Ok(pages::see_other(&format!("{}?{}", Endpoint::Logout.path(), sent.query())));
    }
    let headers = &passage.head.headers;
    let request = EndBrowserSessionRequest {
        session: jar.session(headers).unwrap_or_default().to_owned(),
        id_token_hint: sent.take("id_token_hint"),
        client_id: sent.take("client_id"),
        post_logout_redirect_uri: sent.take("post_logout_redirect_uri"),
        state: sent.take("state"),
        confirmed: is_post && sent.has("confirmed"),
    };
    let answer = browsers(edge, &passage).end_browser_session(request.clone()).await?.into_inner();
    if !answer.ended {
        return Ok(asked(&request, answer));
    }
    let page = match answer.error {
        Some(error) => {
            let text = format!("You cannot be sent back to the application: {}", error.error_description);
            pages::message(StatusCode::OK, SIGNED_OUT, &text)
        }
        None if answer.redirect_uri.is_empty() => {
            pages::message(StatusCode::OK, SIGNED_OUT, "You can close this page.")
        }
        None => pages::on(is_post, &answer.redirect_uri),
    };
    if jar.session(headers).is_none() {
        // Nobody was signed in here as far as the request shows: nothing of the browser's is taken away.
        return Ok(page);
    }
    let mut page = with_cookies(page, jar.end_session());
    // What the browser keeps of authenticated pages goes too, so that the back button shows nothing.
    page.headers_mut().insert("clear-site-data", HeaderValue::from_static("\"cache\""));
    Ok(page)
}

const SIGNED_OUT: &str = "You are signed out";

/// Nothing has ended yet. The form names the client that auth has found, so that confirming needs no ID token: that of somebody else,
/// who is not signed in here, would say nothing about who is.
fn asked(request: &EndBrowserSessionRequest, answer: EndBrowserSessionResponse) -> Response<Body> {
    if let Some(error) = answer.error {
        let title = "You cannot be signed out like this";
        return pages::message(StatusCode::BAD_REQUEST, title, &error.error_description);
    }
    let fields = [
        ("client_id", answer.client_id.as_str()),
        ("post_logout_redirect_uri", &request.post_logout_redirect_uri),
        ("state", &request.state),
    ];
    pages::sign_out(&fields, &answer.redirect_origin)
}
