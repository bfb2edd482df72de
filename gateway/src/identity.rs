//! HTTP faces of the OAuth endpoints: forms and RFC bodies on this side, RPCs of auth on the other. No state is kept here.
mod link;
mod oauth;
mod wellknown;

use http::{Method, Response};
use hyper::body::Incoming;
use link::Link;
use tonic::body::Body;

use crate::{edge::Edge, filter::Passage, refusal::Refusal, schema::Schema};

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
    /// A link of a mail: shows a page.
    Show(Link),
    /// The form on that page: acts.
    Act(Link),
}

/// The one table: what is mounted here is what the metadata document advertises.
static ENDPOINTS: [(&str, Method, Endpoint); 10] = [
    ("/oauth2/token", Method::POST, Endpoint::Token),
    ("/oauth2/revoke", Method::POST, Endpoint::Revoke),
    ("/.well-known/jwks.json", Method::GET, Endpoint::Keys),
    ("/.well-known/oauth-authorization-server", Method::GET, Endpoint::Metadata),
    ("/auth/link/verify", Method::GET, Endpoint::Show(Link::Verify)),
    ("/auth/link/verify/done", Method::POST, Endpoint::Act(Link::Verify)),
    ("/auth/link/reset", Method::GET, Endpoint::Show(Link::Reset)),
    ("/auth/link/reset/done", Method::POST, Endpoint::Act(Link::Reset)),
    ("/auth/link/invitation", Method::GET, Endpoint::Show(Link::Invitation)),
    ("/auth/link/invitation/done", Method::POST, Endpoint::Act(Link::Invitation)),
];

impl Endpoint {
    /// The endpoint at a path with its method, where the schema has the service behind it.
    pub(crate) fn at(schema: &Schema, path: &str) -> Option<(Self, &'static Method)> {
        let (_, method, endpoint) = ENDPOINTS.iter().find(|(known, ..)| *known == path)?;
        schema.serves(SERVICE).then_some((*endpoint, method))
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
    match endpoint {
        Endpoint::Token => oauth::token(edge, passage, incoming).await,
        Endpoint::Revoke => oauth::revoke(edge, passage, incoming).await,
        Endpoint::Keys => Ok(wellknown::keys(edge)),
        Endpoint::Metadata => Ok(wellknown::metadata(edge)),
        Endpoint::Show(link) => link::show(edge, &passage, link).await,
        Endpoint::Act(link) => link::act(edge, passage, incoming, link).await,
    }
}
