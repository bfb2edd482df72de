//! The way to an identity provider and back (OpenID Connect Core section 3.1.2, RFC 9207).
//!
//! What a form would carry lies in a cookie meanwhile, so that the answer is good in the browser alone that went out, and once.
use http::Response;
use proto::auth::v1::{FinishSocialLoginRequest, LoginStep, StartSocialLoginRequest};
use tonic::{Status, body::Body};

use super::{
    pages::{self, Hidden},
    parameters::Parameters,
    session::Jar,
    signin::{self, foreign, logins, unreadable, with_cookie},
};
use crate::{edge::Edge, filter::Passage, refusal::Refusal};

/// Sends the browser to a provider that the sign-in offered.
pub(super) async fn leave(
    edge: &Edge,
    passage: &Passage,
    jar: Jar,
    hidden: &Hidden,
    provider: String,
) -> Result<Response<Body>, Status> {
    let request = StartSocialLoginRequest { flow: hidden.flow.clone(), provider };
    let LoginStep { flow, step, .. } = logins(edge, passage).start_social_login(request).await?.into_inner();
    let step = step.ok_or_else(|| api::Error::fault("a sign-in without a step"))?;
    let hidden = Hidden { flow, ..hidden.clone() };
    let page = pages::step(&step, &hidden, None, "", None);
    Ok(with_cookie(page, hidden.packed().and_then(|kept| jar.set_away(&kept))))
}

/// `GET /auth/callback/{identity_provider}`: what the provider sent back with the browser.
pub(crate) async fn back(edge: &Edge, passage: Passage, jar: Jar) -> Result<Response<Body>, Refusal> {
    let mut query = match Parameters::parse(passage.head.uri.query().unwrap_or_default().as_bytes()) {
        Ok(query) => query,
        Err(problem) => return Ok(unreadable(problem)),
    };
    let headers = &passage.head.headers;
    let hidden = jar.away(headers).and_then(Hidden::unpacked);
    let (Some(hidden), Some(browser)) = (hidden, jar.flow(headers).map(str::to_owned)) else { return Ok(foreign()) };
    let request = FinishSocialLoginRequest {
        flow: hidden.flow.clone(),
        state: query.take("state"),
        code: query.take("code"),
        issuer: query.take("iss"),
        device: jar.device(headers).unwrap_or_default().to_owned(),
        identity_provider_id: passage.head.uri.path().rsplit('/').next().unwrap_or_default().to_owned(),
    };
    let answer = logins(edge, &passage).finish_social_login(request).await;
    let hidden = Hidden { return_to: signin::local(hidden.return_to), ..hidden };
    let answer = answer.map(tonic::Response::into_inner);
    // What did not succeed here may have been meant for a sign-in in another tab, which needs the cookie still.
    let used = answer.as_ref().ok().and_then(|_| jar.end_away());
    let page = signin::go_on(edge, &passage, (jar, &browser), (hidden, "", None), answer).await?;
    Ok(with_cookie(pages::unreferred(page), used))
}
