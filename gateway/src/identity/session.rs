//! Cookies of browsers, and when they count.
//!
//! A cookie is sent by the browser whoever made it ask, so it counts only together with the proof that a page of ours did. One cookie
//! of exact length counts; two, or a malformed one, are none. Over plain HTTP there are cookies on loopback alone.
use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use rand::Rng;

/// Length of every secret in a cookie: 256 bits in base64url.
const LENGTH: usize = 43;
/// How long a browser keeps the secret of a flow.
const FLOW_SECONDS: i64 = 60 * 60;
/// How long it keeps the mark of an earlier sign-in.
const DEVICE_SECONDS: i64 = 180 * 24 * 60 * 60;
const DEVICE_BYTES: usize = 1024;

/// What a cookie is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Session,
    Flow,
    Device,
    /// Of many names, which begin so.
    Away,
}

impl Kind {
    fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Session, true) => "__Host-workos_session",
            (Self::Session, false) => "workos_session",
            (Self::Flow, true) => "__Host-workos_flow",
            (Self::Flow, false) => "workos_flow",
            (Self::Device, true) => "__Host-workos_device",
            (Self::Device, false) => "workos_device",
            (Self::Away, true) => "__Host-workos_away_",
            (Self::Away, false) => "workos_away_",
        }
    }
}

/// Reads and writes the cookies of one public address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jar {
    secure: bool,
}

impl Jar {
    /// The jar of a public address; `None` where a cookie would travel in the open.
    pub(crate) fn of(public_url: &str) -> Option<Self> {
        let secure = public_url.starts_with("https://");
        let host = public_url.strip_prefix("http://").unwrap_or_default();
        let host = host.split('/').next().unwrap_or_default();
        let host = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        (secure || ["localhost", "127.0.0.1", "[::1]"].contains(&host)).then_some(Self { secure })
    }

    /// The secret of the browser's session.
    pub(crate) fn session<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        self.read(headers, Kind::Session).filter(|value| is_secret(value))
    }

    /// The request carries a session's cookie, good or bad. One of another scheme is nothing here.
    pub(crate) fn is_shown(&self, headers: &HeaderMap) -> bool {
        cookies(headers).any(|(name, _)| name == Kind::Session.name(self.secure))
    }

    /// The secret of the flows that have begun in this browser.
    pub(crate) fn flow<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        self.read(headers, Kind::Flow).filter(|value| is_secret(value))
    }

    /// The mark of an earlier sign-in.
    pub(crate) fn device<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        self.read(headers, Kind::Device).filter(|value| value.len() <= DEVICE_BYTES)
    }

    /// What was kept of sign-ins whose persons went to an identity provider or to their mail, by the ends of the names.
    pub(crate) fn away<'h>(&self, headers: &'h HeaderMap) -> BTreeMap<&'h str, &'h str> {
        let (mut found, mut twice) = (BTreeMap::new(), Vec::new());
        for (name, value) in cookies(headers) {
            let Some(tag) = name.strip_prefix(Kind::Away.name(self.secure)) else { continue };
            if found.insert(tag, value).is_some() {
                twice.push(tag);
            }
        }
        found.retain(|tag, _| !twice.contains(tag));
        found
    }

    /// A cookie that keeps a sign-in meanwhile; of no length, one that ends it.
    pub(crate) fn set_away(&self, tag: &str, kept: &str, seconds: i64) -> Option<HeaderValue> {
        self.write_as(&format!("{}{tag}", Kind::Away.name(self.secure)), kept, seconds)
    }

    /// A cookie for a session of this length.
    pub(crate) fn set_session(&self, secret: &str, seconds: i64) -> Option<HeaderValue> {
        self.write(Kind::Session, secret, seconds)
    }

    /// Takes the session's cookie away.
    pub(crate) fn end_session(&self) -> Option<HeaderValue> {
        self.write(Kind::Session, "", 0)
    }

    /// A cookie for flows.
    pub(crate) fn set_flow(&self, secret: &str) -> Option<HeaderValue> {
        self.write(Kind::Flow, secret, FLOW_SECONDS)
    }

    /// A cookie that marks the device.
    pub(crate) fn set_device(&self, mark: &str) -> Option<HeaderValue> {
        self.write(Kind::Device, mark, DEVICE_SECONDS)
    }

    /// The one cookie of this kind.
    fn read<'h>(&self, headers: &'h HeaderMap, kind: Kind) -> Option<&'h str> {
        let name = kind.name(self.secure);
        let mut found = cookies(headers).filter(|(known, _)| *known == name).map(|(_, value)| value);
        found.next().filter(|_| found.next().is_none())
    }

    fn write(&self, kind: Kind, value: &str, seconds: i64) -> Option<HeaderValue> {
        self.write_as(kind.name(self.secure), value, seconds)
    }

    fn write_as(&self, name: &str, value: &str, seconds: i64) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
        HeaderValue::from_str(&text).ok()
    }
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='))
}

fn is_secret(value: &str) -> bool {
    value.len() == LENGTH && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// A new secret.
pub(crate) fn new_secret() -> String {
    let mut bytes = [0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A page of ours made the browser ask: it says so itself, or the origin is ours. A request that says neither is nobody's page.
pub(crate) fn is_same_origin(public_url: &str, headers: &HeaderMap) -> bool {
    let only = |name: &str| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
    };
    match only("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => !headers.contains_key("sec-fetch-site") && only("origin") == Some(origin(public_url)),
    }
}

/// A page from elsewhere made the browser send this form. Its `Lax` cookies did not come along, so who is signed in cannot be told from it;
/// with a GET they do.
pub(crate) fn came_without_cookies(public_url: &str, head: &http::request::Parts) -> bool {
    head.method == http::Method::POST && !is_same_origin(public_url, &head.headers)
}

/// The content type is one that no form can send (Fetch standard, CORS-safelisted request-header).
pub(crate) fn is_beyond_forms(headers: &HeaderMap) -> bool {
    const OF_FORMS: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let kind = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.contains('/') && !OF_FORMS.contains(&kind.as_str())
}

/// Scheme, host and port of the public address.
fn origin(url: &str) -> &str {
    let Some(at) = url.find("://").map(|at| at + 3) else { return url };
    url[at..].find('/').map_or(url, |end| &url[..at + end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn cookies_are_secure_or_on_loopback() {
        assert!(Jar::of("http://app.example").is_none() && Jar::of("http://localhost.evil.example:8080").is_none());
        for url in ["http://localhost:8080", "http://127.0.0.1", "http://[::1]:80"] {
            assert!(!Jar::of(url).expect("loopback").secure, "{url}");
        }
        let jar = Jar::of("https://app.example").expect("TLS");
        let cookie = jar.set_session("s", 5).expect("a header");
        let wanted = "__Host-workos_session=s; Path=/; HttpOnly; SameSite=Lax; Max-Age=5; Secure";
        assert_eq!(cookie.to_str().expect("ASCII"), wanted);
    }

    #[test]
    fn one_cookie_of_exact_length_counts() {
        let jar = Jar::of("http://localhost:8080").expect("loopback");
        let good = "a".repeat(43);
        let read = |cookie: &str| jar.session(&headers(&[("cookie", cookie)])).map(str::to_owned);
        assert_eq!(read(&format!("x=1; workos_session={good}")), Some(good.clone()));
        for bad in [
            String::new(),
            "workos_session=short".to_owned(),
            format!("workos_session={good}a"),
            format!("workos_session={good}; workos_session={good}"),
            format!("__Host-workos_session={good}"),
            format!("workos_session={}!", &good[1..]),
        ] {
            assert_eq!(read(&bad), None, "{bad}");
        }
        let shown = |cookie: &str| jar.is_shown(&headers(&[("cookie", cookie)]));
        assert!(shown("a=b; workos_session=x") && !shown("a=b") && !shown("__Host-workos_session=x"));
    }

    #[test]
    fn auth_s10_only_a_page_of_ours_makes_a_cookie_count() {
        let url = "https://app.example";
        for (good, pairs) in [
            (true, &[("sec-fetch-site", "same-origin")][..]),
            (true, &[("origin", "https://app.example")]),
            (false, &[]),
            (false, &[("origin", "https://evil.example")]),
            (false, &[("origin", "null")]),
            (false, &[("origin", "https://app.example.evil.example")]),
            (false, &[("sec-fetch-site", "cross-site"), ("origin", "https://app.example")]),
            (false, &[("sec-fetch-site", "same-site")]),
            (false, &[("sec-fetch-site", "none")]),
        ] {
            assert_eq!(is_same_origin(url, &headers(pairs)), good, "{pairs:?}");
        }
        assert!(is_beyond_forms(&headers(&[("content-type", "application/json; charset=utf-8")])));
        for form in [
            "text/plain",
            "Text/Plain;charset=utf-8",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
            "x",
            "",
        ] {
            assert!(!is_beyond_forms(&headers(&[("content-type", form)])), "{form}");
        }
        assert!(!is_beyond_forms(&headers(&[])));
    }
}
