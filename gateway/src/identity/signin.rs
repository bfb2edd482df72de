//! Signing in in a browser. The browser is a client of its own (`workos-browser`): the secret in its flow cookie is the PKCE
//! verifier, so a sign-in can only be completed where it began, and a form from elsewhere completes none. A page of the operator's own
//! (`login_url`) takes the steps by the API instead, and comes back here with what completes it.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use hyper::body::Incoming;
use proto::auth::v1::{
    BeginBrowserSessionRequest, ClientShown, ContinueLoginRequest, GetBrowserSessionRequest, LoginStep,
    RequestEmailCodeRequest, StartLoginRequest,
    browser_service_client::BrowserServiceClient,
    continue_login_request::{Answer, Password},
    login_service_client::LoginServiceClient,
    login_step::{DoneStep, SecondFactorStep, Step},
};
use sha2::{Digest, Sha256};
use tonic::{Status, body::Body};

use crate::{
    edge::Edge,
    filter::Passage,
    identity::{
        authorize,
        away::Away,
        pages::{self, Hidden},
        parameters::Parameters,
        session::{self, Jar, is_same_origin},
        social,
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

/// Adds cookies.
pub(super) fn with_cookies(
    mut response: Response<Body>,
    cookies: impl IntoIterator<Item = HeaderValue>,
) -> Response<Body> {
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// What a sign-in that this browser may finish begins with (PKCE, RFC 7636): its secret is not told by it.
fn challenge(browser: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(browser.as_bytes()))
}

/// Begins a sign-in for the browser with this secret; `again` asks a person anew whom an identity provider knows.
async fn begin(edge: &Edge, passage: &Passage, browser: &str, again: bool) -> Result<LoginStep, Status> {
    let request = StartLoginRequest {
        client_id: "workos-browser".to_owned(),
        redirect_uri: "workos:browser".to_owned(),
        code_challenge: challenge(browser),
        code_challenge_method: "S256".to_owned(),
        state: String::new(),
        again,
    };
    Ok(logins(edge, passage).start_login(request).await?.into_inner())
}

pub(super) fn logins(edge: &Edge, passage: &Passage) -> LoginServiceClient<mesh::client::Channel> {
    LoginServiceClient::new(edge.mesh.as_workload("auth", &passage.context))
}

/// The page that whoever runs this service has in place of ours. It begins the sign-in itself.
fn own_page(url: &str, browser: &str, hidden: &Hidden, (hint, note): (&str, Option<&str>)) -> Response<Body> {
    let sent = [
        ("code_challenge", challenge(browser)),
        ("request", hidden.request.clone()),
        ("return_to", hidden.return_to.clone()),
        ("login_hint", hint.to_owned()),
        ("again", if hidden.again { "true".to_owned() } else { String::new() }),
        ("problem", note.unwrap_or_default().to_owned()),
    ];
    pages::see_other(&format!("{url}?{}", Parameters::of(sent).query()))
}

/// The first page of a sign-in.
pub(super) async fn start(
    edge: &Edge,
    passage: &Passage,
    (jar, browser): (Jar, &str),
    hidden: Hidden,
    (client, hint, note): (Option<&ClientShown>, &str, Option<&str>),
) -> Result<Response<Body>, Refusal> {
    let own = edge.config.login_url.as_str();
    if !own.is_empty() {
        return Ok(with_cookies(own_page(own, browser, &hidden, (hint, note)), jar.set_flow(browser)));
    }
    let begun = begin(edge, passage, browser, hidden.again).await?;
    let Some(step) = begun.step else { return Err(api::Error::fault("a sign-in without a step").into()) };
    let page = pages::step(&step, &Hidden { flow: begun.flow, ..hidden }, client, hint, note);
    Ok(with_cookies(page, jar.set_flow(browser)))
}

/// `GET` and `POST /signin`.
pub(crate) async fn page(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    jar: Jar,
) -> Result<Response<Body>, Refusal> {
    if passage.head.method == Method::POST {
        return answer(edge, passage, incoming, jar).await;
    }
    let mut query = match Parameters::parse(passage.head.uri.query().unwrap_or_default().as_bytes()) {
        Ok(query) => query,
        Err(problem) => return Ok(unreadable(problem)),
    };
    let return_to = local(query.take("return_to"));
    // Who must prove himself again, for a method that asks for a recent sign-in, signs in beside the session that he has.
    let anew = query.take("prompt") == "login";
    if let Some(session) = jar.session(&passage.head.headers).filter(|_| !anew) {
        let known = GetBrowserSessionRequest { session: session.to_owned() };
        if browsers(edge, &passage).get_browser_session(known).await.is_ok() {
            return Ok(pages::see_other(if return_to.is_empty() { "/" } else { &return_to }));
        }
    }
    let browser = flow_secret(jar, &passage.head.headers);
    let hidden = Hidden { return_to, again: anew, ..Hidden::default() };
    start(edge, &passage, (jar, &browser), hidden, (None, "", None)).await
}

/// The secret of this browser's flows; a new one when it has none.
pub(super) fn flow_secret(jar: Jar, headers: &HeaderMap) -> String {
    jar.flow(headers).map_or_else(session::new_secret, str::to_owned)
}

/// A path on this host, and nothing that a browser would take for another one.
pub(super) fn local(path: String) -> String {
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
        again: form.has("again"),
    };
    if form.has("signed_in") || form.has("code") {
        return finish(edge, &passage, (jar, &browser), hidden, form).await;
    }
    let (email, provider) = (form.take("email"), form.take("provider"));
    // It may wait for a mail in this browser; whatever else it goes on by, what the mail carries is worth nothing then.
    let kept = Away::end_here(jar, &passage.head.headers, &hidden.flow);
    let second = pages::offered(&form.take("methods"), form.take("passkey_options"));
    let answer = if !provider.is_empty() {
        match social::leave(edge, &passage, jar, &hidden, provider).await {
            Ok(page) => return Ok(with_cookies(page, kept)),
            Err(status) => Err(status),
        }
    } else if form.has("send_code") {
        let request = RequestEmailCodeRequest { flow: hidden.flow.clone(), email: email.clone() };
        match logins(edge, &passage).request_email_code(request).await {
            Ok(_) => {
                let now = edge.clock.now().unix_timestamp();
                let kept = Away::keep(jar, &passage.head.headers, &hidden.flow, &hidden, now);
                return Ok(with_cookies(pages::email_code(&hidden, &email), kept));
            }
            Err(status) => Err(status),
        }
    } else {
        let filled = answer_of(&mut form, &email);
        if filled.is_none() && !second.methods.is_empty() {
            // Nothing was answered, so nothing is asked: the sign-in would be over.
            return Ok(pages::step(&Step::SecondFactor(second), &hidden, None, "", Some(EMPTY)));
        }
        let request = ContinueLoginRequest {
            flow: hidden.flow.clone(),
            answer: filled,
            device: jar.device(&passage.head.headers).unwrap_or_default().to_owned(),
        };
        logins(edge, &passage).continue_login(request).await.map(tonic::Response::into_inner)
    };
    let kept = kept.filter(|_| is_over(&answer));
    let page = go_on(edge, &passage, (jar, &browser), (hidden, &email, Some(second)), answer).await?;
    Ok(with_cookies(page, kept))
}

/// A form that answers no step: he has read what the last page said, or a page in place of ours has done the steps.
async fn finish(
    edge: &Edge,
    passage: &Passage,
    (jar, browser): (Jar, &str),
    hidden: Hidden,
    mut form: Parameters,
) -> Result<Response<Body>, Refusal> {
    if form.has("code") {
        // Only a sign-in of this browser's secret ends here.
        let done = DoneStep { code: form.take("code"), device: form.take("device"), ..DoneStep::default() };
        return complete(edge, passage, (jar, browser), hidden, done).await;
    }
    let Some(session) = jar.session(&passage.head.headers) else { return Ok(foreign()) };
    leave(edge, passage, (jar, browser), &hidden, session).await
}

/// The step that was answered is over, rightly or wrongly: nothing else can answer it any more.
pub(super) fn is_over(answer: &Result<LoginStep, Status>) -> bool {
    let reason = |status: &Status| api::Error::from_status(status).reason().to_owned();
    answer.as_ref().err().map(reason).is_none_or(|reason| OVER.contains(&reason.as_str()))
}

/// Refusals after which the step that was answered is gone.
const OVER: [&str; 6] =
    ["SIGN_IN_REFUSED", "FLOW_INVALID", "NO_MEMBERSHIP", "PASSKEY_REFUSED", "SOCIAL_REFUSED", "SOCIAL_NOT_LINKED"];

/// What follows on an answer: the next step, the end, or the same page with what went wrong. `second` is what was offered if the answer
/// was to a second factor.
pub(super) async fn go_on(
    edge: &Edge,
    passage: &Passage,
    browser: (Jar, &str),
    (hidden, email, second): (Hidden, &str, Option<SecondFactorStep>),
    answer: Result<LoginStep, Status>,
) -> Result<Response<Body>, Refusal> {
    match answer {
        Ok(LoginStep { step: Some(Step::Done(done)), .. }) => complete(edge, passage, browser, hidden, done).await,
        Ok(LoginStep { step: Some(step), flow, .. }) => {
            Ok(pages::step(&step, &Hidden { flow, ..hidden }, None, "", None))
        }
        Ok(LoginStep { step: None, .. }) => Err(api::Error::fault("a sign-in without a step").into()),
        Err(status) => again(edge, passage, browser, (hidden, email, second), status).await,
    }
}

const EMPTY: &str = "Fill in one of the fields, or use a passkey where one is offered";
const WRONG: &str = "That was not right, or was used before. Wait for the next code, then try again";

/// The one answer that the form holds.
fn answer_of(form: &mut Parameters, email: &str) -> Option<Answer> {
    let mut filled = |name: &str| Some(form.take(name).trim().to_owned()).filter(|value| !value.is_empty());
    let answer = filled("passkey")
        .map(Answer::Passkey)
        .or_else(|| filled("totp").map(Answer::Totp))
        .or_else(|| filled("recovery_code").map(Answer::RecoveryCode))
        .or_else(|| filled("email_code").map(Answer::EmailCode))
        .or_else(|| filled("organization").map(Answer::Organization));
    let email = email.to_owned();
    answer
        .or_else(|| form.has("password").then(|| Answer::Password(Password { email, password: form.take("password") })))
}

/// The same page once more, with what went wrong; or the first one, when the sign-in is over.
async fn again(
    edge: &Edge,
    passage: &Passage,
    (jar, browser): (Jar, &str),
    (hidden, email, second): (Hidden, &str, Option<SecondFactorStep>),
    status: Status,
) -> Result<Response<Body>, Refusal> {
    let error = api::Error::from_status(&status);
    if let ("FACTOR_REFUSED", Some(second)) = (error.reason(), second) {
        return Ok(pages::step(&Step::SecondFactor(second), &hidden, None, "", Some(WRONG)));
    }
    if !OVER.contains(&error.reason()) && !["FIELD_INVALID", "EMAIL_INVALID"].contains(&error.reason()) {
        return Err(status.into());
    }
    start(edge, passage, (jar, browser), hidden, (None, email, Some(error.message()))).await
}

/// Where who is signed in was on his way to.
async fn leave(
    edge: &Edge,
    passage: &Passage,
    browser: (Jar, &str),
    hidden: &Hidden,
    session: &str,
) -> Result<Response<Body>, Refusal> {
    if hidden.request.is_empty() {
        return Ok(pages::see_other(if hidden.return_to.is_empty() { "/" } else { &hidden.return_to }));
    }
    authorize::go_on(edge, passage, browser, (&hidden.request, session)).await
}

/// So many recovery codes, and fewer, are few: who has used one is told.
const FEW_CODES: i32 = 3;

/// The sign-in is complete: the browser gets its session, and goes on to where it was sent.
async fn complete(
    edge: &Edge,
    passage: &Passage,
    (jar, browser): (Jar, &str),
    hidden: Hidden,
    done: DoneStep,
) -> Result<Response<Body>, Refusal> {
    let replaced = jar.session(&passage.head.headers).unwrap_or_default().to_owned();
    let request = BeginBrowserSessionRequest { code: done.code, browser: browser.to_owned(), replaced };
    let begun = match browsers(edge, passage).begin_browser_session(request).await {
        Ok(begun) => begun.into_inner(),
        Err(status) if status.code() == tonic::Code::FailedPrecondition => return Ok(foreign()),
        Err(status) => return Err(status.into()),
    };
    let response = match done.recovery_codes_left {
        Some(left) if left <= FEW_CODES => Ok(pages::few_codes(left, hidden)),
        _ => leave(edge, passage, (jar, browser), &hidden, &begun.session).await,
    };
    let seconds = begun.expire_after.map_or(0, |life| life.seconds);
    let session = jar.set_session(&begun.session, seconds);
    let mark = Some(done.device).filter(|mark| !mark.is_empty()).and_then(|mark| jar.set_device(&mark));
    match response {
        Ok(page) => Ok(with_cookies(page, session.into_iter().chain(mark))),
        // The session has begun, whatever became of the rest.
        Err(mut refusal) => {
            for cookie in [session, mark].into_iter().flatten() {
                refusal.headers.append(header::SET_COOKIE, cookie);
            }
            Err(refusal)
        }
    }
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
