//! The authorization endpoint and the decision about consent (RFC 6749 section 3.1, RFC 9207).
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use proto::auth::v1::{
    AuthorizeRequest, AuthorizeResponse, ContinueAuthorizationRequest, DecideAuthorizationRequest,
    authorize_response::Outcome, o_auth_service_client::OAuthServiceClient,
};
use tonic::{Status, body::Body};

use crate::{
    edge::Edge,
    filter::Passage,
    identity::{
        Endpoint,
        pages::{self, Hidden},
        parameters::Parameters,
        session::{Jar, came_without_cookies, is_same_origin},
        signin::{browsers, flow_secret, foreign, start, unreadable, with_cookies},
    },
    refusal::Refusal,
};

/// `GET` and `POST /oauth2/authorize`.
pub(crate) async fn authorize(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    jar: Jar,
) -> Result<Response<Body>, Refusal> {
    let read = if passage.head.method == Method::POST {
        Parameters::read(edge, &passage, incoming).await?
    } else {
        Parameters::parse(passage.head.uri.query().unwrap_or_default().as_bytes())
    };
    let mut sent = match read {
        Ok(sent) => sent,
        Err(problem) => return Ok(unreadable(problem)),
    };
    if came_without_cookies(&edge.public_url, &passage.head) {
        return Ok(pages::see_other(&format!("{}?{}", Endpoint::Authorize.path(), sent.query())));
    }
    let browser = flow_secret(jar, &passage.head.headers);
    let request = AuthorizeRequest {
        parameters: Some(sent.authorization()),
        session: jar.session(&passage.head.headers).unwrap_or_default().to_owned(),
        browser: browser.clone(),
    };
    let mut endpoint = OAuthServiceClient::new(edge.mesh.as_workload("auth", &passage.context));
    let answer = endpoint.authorize(request).await?.into_inner();
    show(edge, &passage, (jar, &browser), answer, None).await
}

/// `POST /consent`.
pub(crate) async fn consent(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    jar: Jar,
) -> Result<Response<Body>, Refusal> {
    let headers = &passage.head.headers;
    let secrets =
        jar.session(headers).zip(jar.flow(headers)).map(|(session, flow)| (session.to_owned(), flow.to_owned()));
    let Some((session, browser)) = secrets.filter(|_| is_same_origin(&edge.public_url, headers)) else {
        return Ok(foreign());
    };
    let mut form = match Parameters::read(edge, &passage, incoming).await? {
        Ok(form) => form,
        Err(problem) => return Ok(unreadable(problem)),
    };
    let decision = form.take("decision");
    if !["approve", "deny"].contains(&decision.as_str()) {
        return Ok(unreadable("the decision is missing"));
    }
    let (request, approve) = (form.take("request"), decision == "approve");
    let decided = DecideAuthorizationRequest { request, session, browser: browser.clone(), approve };
    match browsers(edge, &passage).decide_authorization(decided).await {
        Ok(answer) => show(edge, &passage, (jar, &browser), answer.into_inner(), None).await,
        Err(status) => over(status),
    }
}

/// Goes on with a request after the person has signed in.
pub(super) async fn go_on(
    edge: &Edge,
    passage: &Passage,
    (jar, browser): (Jar, &str),
    (request, session): (&str, &str),
) -> Result<Response<Body>, Refusal> {
    let request = ContinueAuthorizationRequest {
        request: request.to_owned(),
        session: session.to_owned(),
        browser: browser.to_owned(),
    };
    match browsers(edge, passage).continue_authorization(request).await {
        Ok(answer) => show(edge, passage, (jar, browser), answer.into_inner(), Some(ANOTHER)).await,
        Err(status) => over(status),
    }
}

/// The request has expired, or was answered before.
fn over(status: Status) -> Result<Response<Body>, Refusal> {
    let error = api::Error::from_status(&status);
    if ["FLOW_INVALID", "NO_MEMBERSHIP"].contains(&error.reason()) {
        return Ok(pages::message(
            StatusCode::BAD_REQUEST,
            "This request is over",
            "Go back to the application and begin again.",
        ));
    }
    Err(status.into())
}

/// What the person reads when the sign-in that he has just finished is not the one that the application asked for.
const ANOTHER: &str = "The application expects another account, or a sign-in of its own. To give up, close this page";

/// What follows on a request; `note` is for who has to sign in for it.
async fn show(
    edge: &Edge,
    passage: &Passage,
    (jar, browser): (Jar, &str),
    answer: AuthorizeResponse,
    note: Option<&str>,
) -> Result<Response<Body>, Refusal> {
    let page = match answer.outcome {
        Some(Outcome::Refused(error)) => {
            let text = format!("{} ({})", error.error_description, error.error);
            pages::message(StatusCode::BAD_REQUEST, "The application cannot sign you in", &text)
        }
        Some(Outcome::RedirectUri(uri)) => pages::on(passage.head.method == Method::POST, &uri),
        Some(Outcome::Consent(asked)) => {
            let page = match edge.config.consent_url.as_str() {
                "" => pages::consent(&asked),
                // A handle needs no escape.
                own => pages::see_other(&format!("{own}?request={}", asked.request)),
            };
            with_cookies(page, jar.set_flow(browser))
        }
        Some(Outcome::SignIn(asked)) => {
            let origin = asked.client.as_ref().map(|client| client.redirect_origin.clone()).unwrap_or_default();
            let hidden = Hidden { request: asked.request, origin, again: asked.again, ..Hidden::default() };
            let shown = (asked.client.as_ref(), asked.login_hint.as_str(), note);
            return start(edge, passage, (jar, browser), hidden, shown).await;
        }
        None => return Err(api::Error::fault("an authorization without an outcome").into()),
    };
    Ok(page)
}
