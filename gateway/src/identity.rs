//! HTTP faces of OAuth 2.1, OpenID Connect and browsers' sessions: forms, redirects, cookies and pages on this side, RPCs of auth on
//! the other. No state is kept here.
//!
//! What must hold: what is mounted is what discovery advertises, and nothing else; until client and redirect URI are proven good nobody
//! is redirected; a cookie counts only with the same origin behind it; no page can be framed, and none needs script but for a passkey.
mod account;
mod authorize;
mod away;
mod device;
mod invitation;
mod link;
mod magic;
mod oauth;
mod pages;
mod parameters;
pub(crate) mod session;
mod signin;
mod signout;
mod social;
mod wellknown;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use link::Link;
use proto::Rate;
use tonic::body::Body;

use crate::{
    edge::Edge,
    filter::{Passage, rate_limit::Class},
    refusal::Refusal,
    schema::Schema,
};

/// What answers behind the endpoints.
const SERVICE: &str = "workos.auth.v1.OAuthService";

/// An endpoint with a path that a standard prescribes, or a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// RFC 6749 section 3.1.
    Authorize,
    /// RFC 9126.
    PushedAuthorization,
    /// RFC 6749 section 3.2.
    Token,
    /// RFC 7009.
    Revoke,
    /// RFC 7662.
    Introspect,
    /// OpenID Connect Core section 5.3.
    UserInfo,
    /// RFC 8628 section 3.1.
    DeviceAuthorization,
    /// RFC 8628 section 3.3: the page.
    Device,
    /// OpenID Connect RP-Initiated Logout.
    Logout,
    /// The page to sign in.
    SignIn,
    /// The page for who forgot his password.
    Forgotten,
    /// The page to make an account.
    SignUp,
    /// Where identity providers send browsers back to.
    Callback,
    /// The decision about an authorization request.
    Consent,
    /// The pages' stylesheet.
    Style,
    /// The script that asks for a passkey.
    Script,
    /// RFC 7517.
    Keys,
    /// RFC 8414.
    Metadata,
    /// OpenID Connect Discovery.
    Configuration,
    /// The link of a mail that signs in.
    Magic,
    /// A link of a mail: shows a page.
    Show(Link),
    /// The form on that page: acts.
    Act(Link),
}

/// Reads: HEAD goes with GET (RFC 9110 section 9.3.2).
const GET: &[Method] = &[Method::GET, Method::HEAD];
const POST: &[Method] = &[Method::POST];
const BOTH: &[Method] = &[Method::GET, Method::HEAD, Method::POST];

/// What is mounted: the path, its methods, what answers. Of the path a segment in braces is free; as it stands here it is the label of
/// metrics and logs.
type Row = (&'static str, &'static [Method], Endpoint);

/// The one table: what is mounted here is what the metadata document advertises.
static ENDPOINTS: [Row; 26] = [
    ("/oauth2/authorize", BOTH, Endpoint::Authorize),
    ("/oauth2/par", POST, Endpoint::PushedAuthorization),
    ("/oauth2/token", POST, Endpoint::Token),
    ("/oauth2/revoke", POST, Endpoint::Revoke),
    ("/oauth2/introspect", POST, Endpoint::Introspect),
    ("/oauth2/userinfo", BOTH, Endpoint::UserInfo),
    ("/oauth2/device_authorization", POST, Endpoint::DeviceAuthorization),
    ("/device", BOTH, Endpoint::Device),
    ("/oauth2/logout", BOTH, Endpoint::Logout),
    ("/signin", BOTH, Endpoint::SignIn),
    ("/consent", POST, Endpoint::Consent),
    ("/signin/style.css", GET, Endpoint::Style),
    ("/signin/passkey.js", GET, Endpoint::Script),
    ("/signin/forgot", BOTH, Endpoint::Forgotten),
    ("/signup", BOTH, Endpoint::SignUp),
    ("/auth/callback/{provider}", GET, Endpoint::Callback),
    ("/.well-known/jwks.json", GET, Endpoint::Keys),
    ("/.well-known/oauth-authorization-server", GET, Endpoint::Metadata),
    ("/.well-known/openid-configuration", GET, Endpoint::Configuration),
    ("/auth/link/verify", GET, Endpoint::Show(Link::Verify)),
    ("/auth/link/verify/done", POST, Endpoint::Act(Link::Verify)),
    ("/auth/link/reset", GET, Endpoint::Show(Link::Reset)),
    ("/auth/link/reset/done", POST, Endpoint::Act(Link::Reset)),
    ("/auth/link/invitation", GET, Endpoint::Show(Link::Invitation)),
    ("/auth/link/invitation/done", POST, Endpoint::Act(Link::Invitation)),
    ("/auth/link/magic", BOTH, Endpoint::Magic),
];

impl Endpoint {
    /// The row of the endpoint at a path, where the schema has the service behind it.
    pub(crate) fn at(schema: &Schema, path: &str) -> Option<&'static Row> {
        find(path).filter(|_| schema.serves(SERVICE))
    }

    fn path(self) -> &'static str {
        ENDPOINTS.iter().find(|(.., endpoint)| *endpoint == self).map_or("", |(path, ..)| path)
    }

    /// What a call counts as for its network. What is only read, keys and userinfo as the contract says of it too, a page that is only
    /// looked at and a decision do not use up the few attempts to sign in; what begins a sign-in has a budget of its own, for it is
    /// stored. `None` where it depends on who calls, and is counted there (`oauth::drive`).
    pub(crate) fn class(self, method: &Method) -> Option<Class> {
        let is_look = method != Method::POST;
        Some(match self {
            Self::UserInfo | Self::Style | Self::Script | Self::Keys | Self::Metadata | Self::Configuration => {
                Class::Of(Rate::Read)
            }
            Self::SignUp | Self::Forgotten | Self::Device | Self::Show(_) | Self::Magic if is_look => {
                Class::Of(Rate::Read)
            }
            _ if self.begins(method) && method == Method::HEAD => Class::Of(Rate::Read),
            _ if self.begins(method) => Class::Begin,
            Self::Logout | Self::Consent => Class::Of(Rate::Write),
            _ if self.is_of_clients() => return None,
            _ => Class::Of(Rate::Credential),
        })
    }

    /// A person's way in begins here, and is stored.
    fn begins(self, method: &Method) -> bool {
        self == Self::Authorize || (self == Self::SignIn && method != Method::POST)
    }

    /// Applications call it with a form, and say who they are.
    fn is_of_clients(self) -> bool {
        matches!(
            self,
            Self::PushedAuthorization | Self::Token | Self::Revoke | Self::Introspect | Self::DeviceAuthorization
        )
    }

    /// People look at it.
    fn is_page(self) -> bool {
        let of_programs = matches!(
            self,
            Self::UserInfo | Self::Style | Self::Script | Self::Keys | Self::Metadata | Self::Configuration
        );
        !of_programs && !self.is_of_clients()
    }

    /// Applications in browsers call it from any origin, without the browser's credentials (RFC 9700 section 2.6 forbids it for the
    /// authorization endpoint, where a person must be).
    fn is_open(self) -> bool {
        matches!(self, Self::Token | Self::Revoke | Self::UserInfo | Self::Keys | Self::Metadata | Self::Configuration)
    }
}

/// The row of a path, which is the row's own, or has one segment where that of the row is free.
fn find(path: &str) -> Option<&'static Row> {
    // Every request comes by here: most rows are told apart by their length.
    let is = |known: &str| match known.strip_suffix('}').and_then(|known| known.split_once('{')) {
        Some((before, _)) => {
            path.strip_prefix(before).is_some_and(|segment| !segment.is_empty() && !segment.contains('/'))
        }
        None => path == known,
    };
    ENDPOINTS.iter().find(|(known, ..)| is(known))
}

/// Something of ours answers there.
pub(crate) fn is_endpoint(path: &str) -> bool {
    find(path).is_some()
}

/// Answers a preflight of an endpoint; `None` for other paths.
pub(crate) fn preflight<B>(request: &Request<B>, schema: &Schema) -> Option<Response<Body>> {
    let (_, methods, endpoint) = Endpoint::at(schema, request.uri().path())?;
    let asks = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() != Method::OPTIONS || !asks {
        return None;
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let list = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    if endpoint.is_open()
        && let Ok(list) = HeaderValue::from_str(&list)
    {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, list);
        let accepted = "authorization, content-type, x-request-id, traceparent";
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(accepted));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    Some(response)
}

/// Adds what browsers need to read the answer of an endpoint from elsewhere, or nothing where they may not; false for other paths.
pub(crate) fn decorate(path: &str, headers: &mut HeaderMap) -> bool {
    let Some((.., endpoint)) = find(path) else { return false };
    if endpoint.is_open() {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        let exposed = HeaderValue::from_static("www-authenticate, x-request-id, retry-after, etag");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    true
}

/// A refusal where people look: `told` as a page, with its status, its headers and a way to begin again. Elsewhere `told` as it is.
pub(crate) fn refuse(
    schema: &Schema,
    (method, place): (&Method, &Uri),
    refusal: &Refusal,
    told: Response<Body>,
    id: &str,
) -> Response<Body> {
    let found = Endpoint::at(schema, place.path()).filter(|(.., endpoint)| endpoint.is_page());
    let Some((path, methods, endpoint)) = found else { return told };
    let looked = GET.contains(method) && methods.contains(&Method::GET) && *endpoint != Endpoint::Callback;
    let again = match place.path_and_query().filter(|_| looked) {
        Some(same) => Some(same.as_str()),
        // Without what the mail carries the address is none.
        None if matches!(endpoint, Endpoint::Magic | Endpoint::Show(_) | Endpoint::Act(_)) => None,
        None if *methods == BOTH && *endpoint != Endpoint::Authorize => Some(*path),
        None => Some(Endpoint::SignIn.path()),
    };
    let (mut head, _) = told.into_parts();
    let mut page = pages::refused(head.status, &refusal.parts.message, again, id);
    head.headers.remove(header::CONTENT_TYPE);
    page.headers_mut().extend(head.headers);
    page
}

/// Answers an endpoint.
pub(crate) async fn drive(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    endpoint: Endpoint,
) -> Result<Response<Body>, Refusal> {
    if !endpoint.is_page() {
        return program(edge, passage, incoming, endpoint).await;
    }
    // What people type would travel in the open.
    let Some(jar) = edge.jar else { return Ok(signin::unsafe_address()) };
    if passage.head.method == Method::HEAD && endpoint.begins(&Method::HEAD) {
        return Ok(pages::unmade());
    }
    match endpoint {
        Endpoint::Authorize => authorize::authorize(edge, passage, incoming, jar).await,
        Endpoint::Device => device::page(edge, passage, incoming, jar).await,
        Endpoint::Logout => signout::page(edge, passage, incoming, jar).await,
        Endpoint::SignIn => signin::page(edge, passage, incoming, jar).await,
        Endpoint::Consent => authorize::consent(edge, passage, incoming, jar).await,
        Endpoint::Forgotten => account::forgotten(edge, passage, incoming).await,
        Endpoint::SignUp => account::sign_up(edge, passage, incoming).await,
        Endpoint::Callback => social::back(edge, passage, jar).await,
        Endpoint::Magic => magic::page(edge, passage, incoming, jar).await,
        Endpoint::Show(link) => link::show(edge, &passage, jar, link).await,
        Endpoint::Act(link) => link::act(edge, passage, incoming, jar, link).await,
        other => program(edge, passage, incoming, other).await,
    }
}

/// Answers what programs ask for.
async fn program(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    endpoint: Endpoint,
) -> Result<Response<Body>, Refusal> {
    match endpoint {
        Endpoint::UserInfo => oauth::user_info(edge, passage, incoming).await,
        Endpoint::Style => Ok(pages::style()),
        Endpoint::Script => Ok(pages::passkey_script()),
        Endpoint::Keys => Ok(wellknown::keys(edge, &passage.head.headers)),
        Endpoint::Metadata | Endpoint::Configuration => Ok(wellknown::metadata(edge)),
        _ => oauth::drive(edge, passage, incoming, endpoint).await,
    }
}

#[cfg(test)]
mod tests {
    use chassis::Section;

    use super::*;

    #[test]
    fn a_path_with_a_free_segment_has_one_label() {
        let row = |path: &str| find(path).map(|(label, _, endpoint)| (*label, *endpoint));
        let label = ("/auth/callback/{provider}", Endpoint::Callback);
        for path in ["/auth/callback/01kb4v8mzefgh2a5c7d9jknpqr", "/auth/callback/made-up", "/auth/callback/%7B"] {
            assert_eq!(row(path), Some(label), "{path}");
        }
        for path in ["/auth/callback", "/auth/callback/", "/auth/callback/a/b", "/signin/", "/signin/x"] {
            assert_eq!(row(path), None, "{path}");
        }
        assert_eq!(row("/signin"), Some(("/signin", Endpoint::SignIn)));
    }

    #[test]
    fn a_page_of_ones_own_is_a_path_that_nothing_of_ours_answers() {
        let with = |page: &str| crate::config::Config { login_url: page.to_owned(), ..Default::default() }.check();
        assert_eq!(with("/app/signin"), Ok(()));
        for page in ["/signin", "/auth/callback/x", "https://evil.example", "//evil.example", "/app?a=b", "app"] {
            assert!(with(page).is_err_and(|problem| problem.starts_with("login_url:")), "{page}");
        }
    }

    #[test]
    fn what_is_only_read_does_not_use_up_the_attempts_to_sign_in() {
        let contract =
            proto::methods().get(&format!("/{SERVICE}/GetUserInfo")).and_then(|method| method.access.as_ref());
        assert_eq!(contract.map(|access| Class::Of(access.rate)), Endpoint::UserInfo.class(&Method::GET));
        for (path, _, endpoint) in &ENDPOINTS {
            let read = path.starts_with("/.well-known/")
                || ["/oauth2/userinfo", "/signin/style.css", "/signin/passkey.js"].contains(path);
            let of_mails = path.starts_with("/auth/link/") && !path.ends_with("/done");
            let looked = of_mails || ["/signin/forgot", "/signup", "/device"].contains(path);
            let reads = |method: &Method| endpoint.class(method) == Some(Class::Of(Rate::Read));
            assert_eq!(reads(&Method::GET), read || looked, "{path}");
            assert_eq!(reads(&Method::POST), read, "{path}");
            let begins = ["/oauth2/authorize", "/signin"].contains(path);
            assert_eq!(endpoint.class(&Method::GET) == Some(Class::Begin), begins, "{path}");
            assert!(!begins || reads(&Method::HEAD), "{path} stores nothing then");
        }
        for tests_a_secret in [Endpoint::SignIn, Endpoint::SignUp, Endpoint::Device, Endpoint::Act(Link::Reset)] {
            assert_eq!(tests_a_secret.class(&Method::POST), Some(Class::Of(Rate::Credential)), "{tests_a_secret:?}");
        }
    }
}
