//! HTTP faces of the OAuth endpoints: forms and RFC bodies on this side, RPCs of auth on the other. No state is kept here.
mod oauth;
mod wellknown;

use http::{Method, Response};
use hyper::body::Incoming;
use tonic::body::Body;

use crate::{edge::Edge, filter::Passage, refusal::Refusal, route, schema::Schema};

/// What answers behind the endpoints.
const SERVICE: &str = "workos.auth.v1.OAuthService";

/// An endpoint with a path that a standard prescribes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// RFC 6749 section 3.2.
    Token,
    /// RFC 7009.
    Revoke,
    /// RFC 7517.
    Keys,
    /// RFC 8414.
    Metadata,
}

/// The one table: what is mounted here is what the metadata document advertises.
const ENDPOINTS: [(&str, Method, Endpoint); 4] = [
    ("/oauth2/token", Method::POST, Endpoint::Token),
    ("/oauth2/revoke", Method::POST, Endpoint::Revoke),
    ("/.well-known/jwks.json", Method::GET, Endpoint::Keys),
    ("/.well-known/oauth-authorization-server", Method::GET, Endpoint::Metadata),
];

impl Endpoint {
    /// The endpoint at a path, where the schema has the service behind it; 405 under another method.
    pub(crate) fn at(schema: &Schema, method: &Method, path: &str) -> Result<Option<Self>, Refusal> {
        let found = ENDPOINTS.iter().find(|(known, ..)| *known == path);
        let Some((_, expected, endpoint)) = found.filter(|_| schema.serves(SERVICE)) else {
            return Ok(None);
        };
        let fits =
            method == expected || (method == Method::HEAD && *expected == Method::GET) || method == Method::OPTIONS;
        if fits { Ok(Some(*endpoint)) } else { Err(route::not_allowed(method, path, std::slice::from_ref(expected))) }
    }

    fn path(self) -> &'static str {
        ENDPOINTS.iter().find(|(.., endpoint)| *endpoint == self).map_or("", |(path, ..)| path)
    }
}

/// Answers an endpoint.
pub(crate) async fn drive(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    endpoint: Endpoint,
) -> Result<Response<Body>, Refusal> {
    if passage.head.method == Method::OPTIONS {
        let allow = ENDPOINTS.iter().find(|(.., known)| *known == endpoint).map(|(_, method, _)| method.clone());
        return Ok(route::options(&allow.into_iter().collect::<Vec<_>>()));
    }
    match endpoint {
        Endpoint::Token => oauth::token(edge, passage, incoming).await,
        Endpoint::Revoke => oauth::revoke(edge, passage, incoming).await,
        Endpoint::Keys => Ok(wellknown::keys(edge)),
        Endpoint::Metadata => Ok(wellknown::metadata(edge)),
    }
}
