//! The page on which a person lets a device in (RFC 8628 section 3.3). A link with the code fills in the field and nothing else: wrong
//! codes count against the person, and anybody can make a browser follow a link.
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use proto::auth::v1::{DecideDeviceRequest, FindDeviceRequest};
use tonic::{Status, body::Body};

use crate::{
    edge::Edge,
    filter::{Passage, address},
    form,
    identity::{
        Endpoint, pages,
        parameters::Parameters,
        session::{Jar, is_same_origin},
        signin::{browsers, foreign, unreadable},
    },
    refusal::Refusal,
};

/// `GET` and `POST /device`.
pub(crate) async fn page(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    jar: Jar,
) -> Result<Response<Body>, Refusal> {
    let is_post = passage.head.method == Method::POST;
    if is_post && !is_same_origin(&edge.public_url, &passage.head.headers) {
        return Ok(foreign());
    }
    let read = if is_post {
        Parameters::read(edge, &passage, incoming).await?
    } else {
        Parameters::parse(passage.head.uri.query().unwrap_or_default().as_bytes())
    };
    let mut sent = match read {
        Ok(sent) => sent,
        Err(problem) => return Ok(unreadable(problem)),
    };
    let user_code = sent.take("user_code");
    let Some(session) = jar.session(&passage.head.headers).map(str::to_owned) else { return Ok(first(&user_code)) };
    if user_code.is_empty() || !is_post {
        return Ok(pages::device_entry(None, &user_code));
    }
    let network = address::network(passage.address).to_string();
    let decision = sent.take("decision");
    if !decision.is_empty() {
        let approve = decision == "approve";
        let request = DecideDeviceRequest { user_code: user_code.clone(), session, network, approve };
        return match browsers(edge, &passage).decide_device(request).await {
            Ok(_) if approve => Ok(pages::message(StatusCode::OK, "The device is in", "You can close this page.")),
            Ok(_) => Ok(pages::message(StatusCode::OK, "The device stays out", "You can close this page.")),
            Err(status) => refused(status, &user_code),
        };
    }
    let request = FindDeviceRequest { user_code: user_code.clone(), session, network };
    match browsers(edge, &passage).find_device(request).await {
        Ok(device) => Ok(pages::device_confirm(&device.into_inner())),
        Err(status) => refused(status, &user_code),
    }
}

/// Nobody is signed in: that first, then this page again.
fn first(user_code: &str) -> Response<Body> {
    let (mut code, mut target) = (String::new(), Endpoint::Device.path().to_owned());
    form::encode(user_code.as_bytes(), &mut code);
    if !code.is_empty() {
        target += &format!("?user_code={code}");
    }
    let mut escaped = String::new();
    form::encode(target.as_bytes(), &mut escaped);
    pages::see_other(&format!("{}?return_to={escaped}", Endpoint::SignIn.path()))
}

fn refused(status: Status, user_code: &str) -> Result<Response<Body>, Refusal> {
    let error = api::Error::from_status(&status);
    match error.reason() {
        "USER_CODE_INVALID" | "NO_MEMBERSHIP" => Ok(pages::device_entry(Some(error.message()), user_code)),
        "CREDENTIAL_INVALID" => Ok(first(user_code)),
        _ => Err(status.into()),
    }
}
