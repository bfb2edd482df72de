//! The way to an identity provider and back (OpenID Connect Core section 3.1.2, RFC 9207).
//!
//! What a form would carry lies in a cookie meanwhile, found by the state that the provider sends back: so the answer is good in the browser
//! alone that went out, and once, and sign-ins in several tabs do not meet.
use http::Response;
use proto::auth::v1::{FinishSocialLoginRequest, LoginStep, StartSocialLoginRequest, login_step::Step};
use tonic::{Status, body::Body};

use super::{
    away::Away,
    pages::{self, Hidden},
    parameters::Parameters,
    session::Jar,
    signin::{self, foreign, logins, unreadable, with_cookies},
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
    let state = match &step {
        Step::Social(away) => state_of(&away.authorization_uri),
        _ => return Err(api::Error::fault("a way to a provider that leads elsewhere").into()),
    };
    let now = edge.clock.now().unix_timestamp();
    Ok(with_cookies(page, Away::keep(jar, &passage.head.headers, state, &hidden, now)))
}

/// `GET /auth/callback/{identity_provider}`: what the provider sent back with the browser.
pub(crate) async fn back(edge: &Edge, passage: Passage, jar: Jar) -> Result<Response<Body>, Refusal> {
    let mut query = match Parameters::parse(passage.head.uri.query().unwrap_or_default().as_bytes()) {
        Ok(query) => query,
        Err(problem) => return Ok(unreadable(problem)),
    };
    let headers = &passage.head.headers;
    let state = query.take("state");
    let hidden = Away::of(jar, headers, &state);
    let (Some(hidden), Some(browser)) = (hidden, jar.flow(headers).map(str::to_owned)) else { return Ok(foreign()) };
    let request = FinishSocialLoginRequest {
        flow: hidden.flow.clone(),
        state: state.clone(),
        code: query.take("code"),
        issuer: query.take("iss"),
        device: jar.device(headers).unwrap_or_default().to_owned(),
        identity_provider_id: passage.head.uri.path().rsplit('/').next().unwrap_or_default().to_owned(),
    };
    let answer = logins(edge, &passage).finish_social_login(request).await;
    let hidden = Hidden { return_to: signin::local(hidden.return_to), ..hidden };
    let answer = answer.map(tonic::Response::into_inner);
    // What did not succeed may do so yet, when the page is loaded again.
    let used = answer.as_ref().ok().and_then(|_| Away::end(jar, &state));
    let page = signin::go_on(edge, &passage, (jar, &browser), (hidden, "", None), answer).await?;
    Ok(with_cookies(pages::unreferred(page), used))
}

/// The state that the browser takes along to a provider, as auth has written it: nothing in it is escaped.
fn state_of(uri: &str) -> &str {
    let query = uri.rsplit_once('?').map(|(_, query)| query).unwrap_or_default();
    query.split('&').filter_map(|pair| pair.strip_prefix("state=")).next_back().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_the_one_that_auth_has_written() {
        let uri = "https://provider.example/authorize?state=their-own&client_id=x&state=a-b_C&nonce=n";
        assert_eq!((state_of(uri), state_of("https://provider.example/authorize")), ("a-b_C", ""));
    }
}
