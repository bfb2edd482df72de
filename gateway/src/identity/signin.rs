//! Signing in and out in a browser. The browser is a client of its own (`workos-browser`): the secret in its flow cookie is the PKCE
//! verifier, so a sign-in can only be completed where it began, and a form from elsewhere completes none.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use hyper::body::Incoming;
use proto::auth::v1::{
    BeginBrowserSessionRequest, ClientShown, ContinueLoginRequest, EndBrowserSessionRequest, GetBrowserSessionRequest,
    LoginStep, StartLoginRequest,
    browser_service_client::BrowserServiceClient,
    continue_login_request::{Answer, Password},
    login_service_client::LoginServiceClient,
    login_step::{DoneStep, SecondFactorStep, Step, second_factor_step::Method as Factor},
};
use sha2::{Digest, Sha256};
use tonic::{Status, body::Body};

use crate::{
    edge::Edge,
    filter::Passage,
    identity::{
        authorize,
        pages::{self, Hidden},
        parameters::Parameters,
        session::{self, Jar, is_same_origin, origin},
    },
    refusal::Refusal,
};

/// No page is shown where its cookies would travel in the open.
pub(super) fn unsafe_address() -> Response<Body> {
    let text = "Pages are served over TLS, or on this machine alone. Ask whoever runs this service to set public_url.";
    pages::message(StatusCode::FORBIDDEN, "This address is not safe", text)
}

/// A form that no page of ours has sent.
pub(super) fn foreign() -> Response<Body> {
    pages::message(StatusCode::FORBIDDEN, "This did not come from here", "Begin again at the application.")
}

/// Parameters that cannot be read.
pub(super) fn unreadable(problem: &str) -> Response<Body> {
    pages::message(StatusCode::BAD_REQUEST, "This request cannot be read", problem)
}

pub(super) fn browsers(edge: &Edge, passage: &Passage) -> BrowserServiceClient<mesh::client::Channel> {
    BrowserServiceClient::new(edge.mesh.as_workload("auth", &passage.context))
}

/// Adds a cookie.
pub(super) fn with_cookie(mut response: Response<Body>, cookie: Option<HeaderValue>) -> Response<Body> {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Begins a sign-in for the browser with this secret.
async fn begin(edge: &Edge, passage: &Passage, browser: &str) -> Result<LoginStep, Status> {
    let mut logins = LoginServiceClient::new(edge.mesh.as_workload("auth", &passage.context));
    let request = StartLoginRequest {
        client_id: "workos-browser".to_owned(),
        redirect_uri: "workos:browser".to_owned(),
        code_challenge: URL_SAFE_NO_PAD.encode(Sha256::digest(browser.as_bytes())),
        code_challenge_method: "S256".to_owned(),
        state: String::new(),
    };
    Ok(logins.start_login(request).await?.into_inner())
}

/// The first page of a sign-in.
pub(super) async fn start(
    edge: &Edge,
    passage: &Passage,
    (jar, browser): (Jar, &str),
    hidden: Hidden,
    (client, hint, note): (Option<&ClientShown>, &str, Option<&str>),
) -> Result<Response<Body>, Refusal> {
    let begun = begin(edge, passage, browser).await?;
    let Some(step) = begun.step else { return Err(api::Error::fault("a sign-in without a step").into()) };
    let page = pages::step(&step, &Hidden { flow: begun.flow, ..hidden }, client, hint, note);
    Ok(with_cookie(page, jar.set_flow(browser)))
}

/// `GET` and `POST /signin`.
pub(crate) async fn page(edge: &Edge, passage: Passage, incoming: Incoming) -> Result<Response<Body>, Refusal> {
    let Some(jar) = Jar::of(&edge.public_url) else { return Ok(unsafe_address()) };
    if passage.head.method == Method::POST {
        return answer(edge, passage, incoming, jar).await;
    }
    let mut query = match Parameters::parse(passage.head.uri.query().unwrap_or_default().as_bytes()) {
        Ok(query) => query,
        Err(problem) => return Ok(unreadable(problem)),
    };
    let return_to = local(query.take("return_to"));
    if let Some(session) = jar.session(&passage.head.headers) {
        let known = GetBrowserSessionRequest { session: session.to_owned() };
        if browsers(edge, &passage).get_browser_session(known).await.is_ok() {
            return Ok(pages::see_other(if return_to.is_empty() { "/" } else { &return_to }));
        }
    }
    let browser = flow_secret(jar, &passage.head.headers);
    start(edge, &passage, (jar, &browser), Hidden { return_to, ..Hidden::default() }, (None, "", None)).await
}

/// The secret of this browser's flows; a new one when it has none.
pub(super) fn flow_secret(jar: Jar, headers: &HeaderMap) -> String {
    jar.flow(headers).map_or_else(session::new_secret, str::to_owned)
}

/// A path on this host, and nothing that a browser would take for another one.
fn local(path: String) -> String {
    let good = path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= 1024
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if good { path } else { String::new() }
}

async fn answer(edge: &Edge, passage: Passage, incoming: Incoming, jar: Jar) -> Result<Response<Body>, Refusal> {
    if !is_same_origin(&edge.public_url, &passage.head.headers) {
        return Ok(foreign());
    }
    let mut form = match Parameters::read(edge, &passage, incoming).await? {
        Ok(form) => form,
        Err(problem) => return Ok(unreadable(problem)),
    };
    let Some(browser) = jar.flow(&passage.head.headers).map(str::to_owned) else { return Ok(foreign()) };
    let hidden = Hidden {
        request: form.take("request"),
        flow: form.take("flow"),
        return_to: local(form.take("return_to")),
        origin: form.take("origin"),
    };
    let email = form.take("email");
    let request = ContinueLoginRequest {
        flow: hidden.flow.clone(),
        answer: answer_of(&mut form, &email),
        device: jar.device(&passage.head.headers).unwrap_or_default().to_owned(),
    };
    let mut logins = LoginServiceClient::new(edge.mesh.as_workload("auth", &passage.context));
    match logins.continue_login(request).await.map(tonic::Response::into_inner) {
        Ok(LoginStep { step: Some(Step::Done(done)), .. }) => {
            complete(edge, &passage, (jar, &browser), &hidden, done).await
        }
        Ok(LoginStep { step: Some(step), flow, .. }) => {
            Ok(pages::step(&step, &Hidden { flow, ..hidden }, None, "", None))
        }
        Ok(LoginStep { step: None, .. }) => Err(api::Error::fault("a sign-in without a step").into()),
        Err(status) => again(edge, &passage, (jar, &browser), (hidden, &email), status).await,
    }
}

/// The one answer that the form holds.
fn answer_of(form: &mut Parameters, email: &str) -> Option<Answer> {
    let (totp, recovery_code, organization) =
        (form.take("totp"), form.take("recovery_code"), form.take("organization"));
    if form.has("password") {
        let password = form.take("password");
        return Some(Answer::Password(Password { email: email.to_owned(), password }));
    }
    match (totp.is_empty(), recovery_code.is_empty(), organization.is_empty()) {
        (false, ..) => Some(Answer::Totp(totp.trim().to_owned())),
        (true, false, _) => Some(Answer::RecoveryCode(recovery_code.trim().to_owned())),
        (true, true, false) => Some(Answer::Organization(organization)),
        (true, true, true) => None,
    }
}

/// The same page once more, with what went wrong; or the first one, when the sign-in is over.
async fn again(
    edge: &Edge,
    passage: &Passage,
    (jar, browser): (Jar, &str),
    (hidden, email): (Hidden, &str),
    status: Status,
) -> Result<Response<Body>, Refusal> {
    let error = api::Error::from_status(&status);
    if error.reason() == "FACTOR_REFUSED" {
        let methods = vec![Factor::Totp.into(), Factor::RecoveryCode.into()];
        let step = Step::SecondFactor(SecondFactorStep { methods });
        return Ok(pages::step(&step, &hidden, None, "", Some(error.message())));
    }
    if !["SIGN_IN_REFUSED", "FLOW_INVALID", "FIELD_INVALID", "NO_MEMBERSHIP"].contains(&error.reason()) {
        return Err(status.into());
    }
    start(edge, passage, (jar, browser), hidden, (None, email, Some(error.message()))).await
}

/// The sign-in is complete: the browser gets its session, and goes on to where it was sent.
async fn complete(
    edge: &Edge,
    passage: &Passage,
    (jar, browser): (Jar, &str),
    hidden: &Hidden,
    done: DoneStep,
) -> Result<Response<Body>, Refusal> {
    let replaced = jar.session(&passage.head.headers).unwrap_or_default().to_owned();
    let request = BeginBrowserSessionRequest { code: done.code, browser: browser.to_owned(), replaced };
    let begun = match browsers(edge, passage).begin_browser_session(request).await {
        Ok(begun) => begun.into_inner(),
        Err(status) if status.code() == tonic::Code::FailedPrecondition => return Ok(foreign()),
        Err(status) => return Err(status.into()),
    };
    let response = if hidden.request.is_empty() {
        pages::see_other(if hidden.return_to.is_empty() { "/" } else { &hidden.return_to })
    } else {
        authorize::go_on(edge, passage, (jar, browser), (&hidden.request, &begun.session)).await?
    };
    let seconds = begun.expire_after.map_or(0, |life| life.seconds);
    let response = with_cookie(response, jar.set_session(&begun.session, seconds));
    let mark = Some(done.device).filter(|mark| !mark.is_empty());
    Ok(with_cookie(response, mark.and_then(|mark| jar.set_device(&mark))))
}

/// `GET` and `POST /oauth2/logout`. Whoever is sent here by an application with a good ID token is signed out; anybody else is asked.
pub(crate) async fn sign_out(edge: &Edge, passage: Passage, incoming: Incoming) -> Result<Response<Body>, Refusal> {
    let Some(jar) = Jar::of(&edge.public_url) else { return Ok(unsafe_address()) };
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
    let headers = &passage.head.headers;
    let request = EndBrowserSessionRequest {
        session: jar.session(headers).unwrap_or_default().to_owned(),
        id_token_hint: sent.take("id_token_hint"),
        client_id: sent.take("client_id"),
        post_logout_redirect_uri: sent.take("post_logout_redirect_uri"),
        state: sent.take("state"),
        confirmed: is_post && sent.has("confirmed") && is_same_origin(&edge.public_url, headers),
    };
    let answer = browsers(edge, &passage).end_browser_session(request.clone()).await?.into_inner();
    if let Some(error) = answer.error {
        return Ok(pages::message(
            StatusCode::BAD_REQUEST,
            "You cannot be signed out like this",
            &error.error_description,
        ));
    }
    if !answer.ended {
        let fields = [
            ("client_id", request.client_id.as_str()),
            ("post_logout_redirect_uri", &request.post_logout_redirect_uri),
            ("state", &request.state),
        ];
        return Ok(pages::sign_out(&fields, origin(&request.post_logout_redirect_uri)));
    }
    let page = if answer.redirect_uri.is_empty() {
        pages::message(StatusCode::OK, "You are signed out", "You can close this page.")
    } else {
        pages::see_other(&answer.redirect_uri)
    };
    let mut page = with_cookie(page, jar.end_session());
    // What the browser keeps of authenticated pages goes too, so that the back button shows nothing.
    page.headers_mut().insert("clear-site-data", HeaderValue::from_static("\"cache\""));
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_to_return_to_stays_here() {
        assert_eq!(local("/device?user_code=B".to_owned()), "/device?user_code=B");
        for elsewhere in ["", "device", "//evil.example", "/\\evil.example", "https://evil.example", "/a\nb", "/é"] {
            assert_eq!(local(elsewhere.to_owned()), "", "{elsewhere}");
        }
    }
}
