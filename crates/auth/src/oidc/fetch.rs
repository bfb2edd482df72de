//! Outgoing HTTP, to identity providers only: to hosts that a row names, never to private addresses unless the operator listed the
//! host, no redirects, 5 s, 64 KiB.
//!
//! Addresses are looked at after the name was resolved and for that very connection, so a name that changes its mind gains nothing.
use std::{
    net::{IpAddr, SocketAddr},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, dns::Name},
    },
    rt::TokioExecutor,
};
use tower::Service;

const TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_BYTES: usize = 64 * 1024;

/// Why nothing came back, for the operator; the caller hears only that the provider is away.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The URL may not be asked.
    #[error("{0} may not be asked: {1}")]
    Forbidden(String, &'static str),
    /// The network or the other side.
    #[error("{0} does not answer: {1}")]
    Away(String, String),
    /// An answer that is no success.
    #[error("{0} answered {1}")]
    Refused(String, StatusCode),
}

/// How a question is asked.
#[derive(Default)]
pub(crate) struct Question {
    /// Value of `Authorization`.
    pub(crate) authorization: Option<String>,
    /// Form of a POST; `None` asks with GET.
    pub(crate) form: Option<String>,
}

type Way = Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// The one way out.
pub(crate) struct Fetcher {
    /// To public addresses.
    open: Way,
    /// To the hosts that the operator listed, wherever they are.
    private: Way,
    listed: Vec<String>,
}

impl Fetcher {
    /// `listed` are hosts, as `host:port`, that may have private addresses and be asked without TLS.
    ///
    /// # Errors
    /// The machine has no list of authorities to trust.
    pub(crate) fn new(listed: Vec<String>) -> std::io::Result<Self> {
        Ok(Self { open: way(false)?, private: way(true)?, listed })
    }

    /// Host and port of a URL are on the operator's list. A host that is listed with one port is not with another.
    fn is_listed(&self, uri: &Uri) -> bool {
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let place = uri.host().map(|host| format!("{host}:{port}"));
        place.is_some_and(|place| self.listed.contains(&place))
    }

    /// Asks a URL for JSON.
    ///
    /// # Errors
    /// [`FetchError`].
    pub(crate) async fn json(&self, url: &str, question: Question) -> Result<serde_json::Value, FetchError> {
        let away = |cause: &dyn std::fmt::Display| FetchError::Away(url.to_owned(), cause.to_string());
        let request = self.request(url, question)?;
        let way = if self.is_listed(request.uri()) { &self.private } else { &self.open };
        let asked = async {
            let response = way.request(request).await.map_err(|cause| away(&chain(&cause)))?;
            let status = response.status();
            if status != StatusCode::OK {
                return Err(FetchError::Refused(url.to_owned(), status));
            }
            let body =
                Limited::new(response.into_body(), ANSWER_BYTES).collect().await.map_err(|cause| away(&cause))?;
            serde_json::from_slice(&body.to_bytes()).map_err(|cause| away(&cause))
        };
        tokio::time::timeout(TIMEOUT, asked).await.map_err(|_| away(&"5 s have passed"))?
    }

    fn request(&self, url: &str, question: Question) -> Result<Request<Full<Bytes>>, FetchError> {
        let forbidden = |why| FetchError::Forbidden(url.to_owned(), why);
        let uri: Uri = url.parse().map_err(|_| forbidden("it is no URL"))?;
        let authority = uri.authority().ok_or_else(|| forbidden("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(forbidden("it holds a user name"));
        }
        let host = authority.host().trim_matches(['[', ']']);
        let listed = self.is_listed(&uri);
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if listed => {}
            _ => return Err(forbidden("it is not https")),
        }
        if host.parse::<IpAddr>().is_ok_and(|address| !is_public(address)) && !listed {
            return Err(forbidden("its address is a private one"));
        }
        let method = if question.form.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder().method(method).uri(uri).header(header::ACCEPT, "application/json");
        request = request.header(header::USER_AGENT, "workos");
        if let Some(authorization) = question.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if question.form.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        request
            .body(Full::new(Bytes::from(question.form.unwrap_or_default())))
            .map_err(|_| forbidden("it cannot be written as a request"))
    }
}

/// An error with what is behind it: of a connection the outermost says only that there is none.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A client; `private` addresses are asked only by one for them.
fn way(private: bool) -> std::io::Result<Way> {
    let mut connector = HttpConnector::new_with_resolver(Resolver { private });
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(TIMEOUT));
    let https = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1();
    // No pool: a connection is used once, under the addresses that were looked at for it.
    Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(https.wrap_connector(connector)))
}

/// Resolves names, and leaves private addresses out, unless they are what it is for.
#[derive(Clone)]
struct Resolver {
    private: bool,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let private = self.private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let good: Vec<_> = found.filter(|address| private || is_public(address.ip())).collect();
            if good.is_empty() {
                return Err(std::io::Error::other("the name has no public address"));
            }
            Ok(good.into_iter())
        })
    }
}

/// An address of the open internet (IANA's registries of special-purpose addresses).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            let special = matches!(
                (a, b),
                (0 | 10 | 127, _) | (100, 64..=127) | (169, 254) | (172, 16..=31) | (192, 168) | (198, 18 | 19)
            ) || matches!((a, b, c), (192, 0, 0 | 2) | (192, 88, 99) | (198, 51, 100) | (203, 0, 113));
            !special && a < 224
        }
        IpAddr::V6(address) => {
            let [a, b, ..] = address.segments();
            // Global unicast without documentation, Teredo, ORCHID and 6to4, which carry other addresses.
            (0x2000..=0x3fff).contains(&a)
                && !(a == 0x2001 && (b < 0x0200 || b == 0x0db8))
                && a != 0x2002
                && a != 0x3fff
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_open_internet_is_public() {
        for public in ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
        for private in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "2001:db8::1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().expect("an address")), "{private}");
        }
    }

    #[test]
    fn a_host_is_listed_with_its_port() {
        let listed = ["idp.internal:8443", "idp.internal:443", "[::1]:9"].map(str::to_owned).to_vec();
        let fetcher = Fetcher::new(listed).expect("the machine has authorities");
        let is_listed = |url: &str| fetcher.is_listed(&url.parse().expect("a URL"));
        for good in ["https://idp.internal:8443/keys", "https://idp.internal/keys", "http://[::1]:9/"] {
            assert!(is_listed(good), "{good}");
        }
        for bad in ["https://idp.internal:9443/", "http://idp.internal/", "https://idp.internal.evil:8443/"] {
            assert!(!is_listed(bad), "{bad}");
        }
    }

    #[tokio::test]
    async fn another_port_of_a_listed_host_is_not_asked_at_its_private_address() {
        let fetcher = Fetcher::new(vec!["localhost:1".to_owned()]).expect("the machine has authorities");
        let refused = fetcher.json("https://localhost:2/keys", Question::default()).await.expect_err("it is private");
        let listed = fetcher.json("https://localhost:1/keys", Question::default()).await.expect_err("nobody listens");
        assert!(refused.to_string().contains("no public address"), "{refused}");
        assert!(!listed.to_string().contains("no public address"), "{listed}");
    }

    #[test]
    fn only_https_and_listed_hosts_are_asked() {
        let fetcher = Fetcher::new(vec!["127.0.0.1:9".to_owned()]).expect("the machine has authorities");
        for good in ["https://idp.example/token", "http://127.0.0.1:9/token"] {
            assert!(fetcher.request(good, Question::default()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "idp.example",
            "http://idp.example/",
            "ftp://idp.example/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "http://127.0.0.1:10/",
            "https://user@idp.example/",
            "https://169.254.169.254/latest",
        ] {
            assert!(fetcher.request(bad, Question::default()).is_err(), "{bad}");
        }
    }
}
