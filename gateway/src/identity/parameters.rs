//! Parameters of the endpoints, each at most once (RFC 6749 section 3), and how a client authenticates in them.
use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, header};
use hyper::body::Incoming;
use proto::auth::v1::{AuthorizationParameters, ClientAuthentication};

use crate::{call::body, edge::Edge, filter::Passage, form, refusal::Refusal};

/// Most parameters of a request.
const MOST: usize = 100;
/// Longest form, in bytes.
const LONGEST: usize = 64 * 1024;

/// Parameters. What is repeated is refused, but for those that a standard lets repeat.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    single: BTreeMap<String, String>,
    /// `audience` and `resource` (RFC 8693 section 2.1).
    several: BTreeMap<String, Vec<String>>,
}

impl Parameters {
    /// Reads a query or a form.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(text).map_err(|_| "the parameters are not UTF-8")?;
        let mut parameters = Self::default();
        for (index, pair) in text.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            if index >= MOST {
                return Err("there are more than 100 parameters");
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if ["audience", "resource"].contains(&name.as_str()) {
                parameters.several.entry(name).or_default().push(value);
            } else if parameters.single.insert(name, value).is_some() {
                return Err("a parameter is repeated");
            }
        }
        Ok(parameters)
    }

    /// The form in a request's body.
    ///
    /// # Errors
    /// The outer one when the body cannot be read; the inner one says what is wrong with the form.
    pub(crate) async fn read(
        edge: &Edge,
        passage: &Passage,
        incoming: Incoming,
    ) -> Result<Result<Self, &'static str>, Refusal> {
        let headers = &passage.head.headers;
        let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is_form = kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded");
        let body = body::within(edge, passage, headers, incoming, LONGEST).await.map_err(shorter)?;
        Ok(if is_form {
            Self::parse(&body.bytes)
        } else {
            Err("send the parameters as application/x-www-form-urlencoded")
        })
    }

    /// Takes a parameter out; empty when it was not sent.
    pub(crate) fn take(&mut self, name: &str) -> String {
        self.single.remove(name).unwrap_or_default()
    }

    /// Whether a parameter was sent.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.single.contains_key(name)
    }

    /// Takes one out that may be repeated.
    pub(crate) fn take_all(&mut self, name: &str) -> Vec<String> {
        self.several.remove(name).unwrap_or_default()
    }

    /// Who the client says to be: in the header or in the form, never in both (RFC 6749 section 2.3).
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn client(&mut self, headers: &HeaderMap) -> Result<ClientAuthentication, &'static str> {
        let (client_id, client_secret) = (self.take("client_id"), self.take("client_secret"));
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Ok(ClientAuthentication { client_id, client_secret, basic: false });
        };
        let (id, secret) = basic(value).ok_or("the header Authorization must be Basic with client id and secret")?;
        if values.next().is_some() || !client_secret.is_empty() {
            return Err("the client authenticates in more than one way");
        }
        if !client_id.is_empty() && client_id != id {
            return Err("client_id is another one than that in the header Authorization");
        }
        Ok(ClientAuthentication { client_id: id, client_secret: secret, basic: true })
    }

    /// These, but for those without a value.
    pub(crate) fn of<const N: usize>(sent: [(&str, String); N]) -> Self {
        let single = sent.into_iter().filter(|(_, value)| !value.is_empty());
        Self { single: single.map(|(name, value)| (name.to_owned(), value)).collect(), ..Self::default() }
    }

    /// As a query.
    pub(crate) fn query(&self) -> String {
        let several = self.several.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        let mut text = String::new();
        for (name, value) in self.single.iter().chain(several) {
            if !text.is_empty() {
                text.push('&');
            }
            form::encode(name.as_bytes(), &mut text);
            text.push('=');
            form::encode(value.as_bytes(), &mut text);
        }
        text
    }

    /// Those of the authorization endpoint. What is unknown is ignored (RFC 6749 section 3.1).
    pub(crate) fn authorization(&mut self) -> AuthorizationParameters {
        AuthorizationParameters {
            client_id: self.take("client_id"),
            redirect_uri: self.take("redirect_uri"),
            response_type: self.take("response_type"),
            response_mode: self.take("response_mode"),
            scope: self.take("scope"),
            state: self.take("state"),
            code_challenge: self.take("code_challenge"),
            code_challenge_method: self.take("code_challenge_method"),
            nonce: self.take("nonce"),
            prompt: self.take("prompt"),
            max_age: self.take("max_age"),
            login_hint: self.take("login_hint"),
            request_uri: self.take("request_uri"),
            request: self.take("request"),
            id_token_hint: self.take("id_token_hint"),
        }
    }
}

/// Id and secret are form-encoded before they are joined (RFC 6749 section 2.3.1).
fn basic(value: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((decoded(id).ok()?, decoded(secret).ok()?))
}

/// A refusal of a body for its length says the limit of a form.
fn shorter(refusal: Refusal) -> Refusal {
    if refusal.parts.http != Some(413) {
        return refusal;
    }
    Refusal::new(413, tonic::Code::InvalidArgument, "BODY_TOO_LARGE", "a form has at most 64 KiB; send less")
}

fn decoded(text: &str) -> Result<String, &'static str> {
    let bytes = form::decoded(text).ok_or("an escape is malformed")?;
    String::from_utf8(bytes).map_err(|_| "the parameters are not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_strictly() {
        let mut form =
            Parameters::parse(b"grant_type=authorization_code&code=a%2Bb+c&resource=x&resource=y").expect("valid");
        assert_eq!((form.take("code").as_str(), form.take("code").as_str()), ("a+b c", ""));
        assert_eq!(form.take_all("resource"), ["x", "y"]);
        for bad in [&b"a=1&a=2"[..], b"a=%4", b"a=%zz", b"a=%ff", b"a=%+1"] {
            assert!(Parameters::parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert!(Parameters::parse("x&".repeat(101).as_bytes()).is_err());
    }

    #[test]
    fn parameters_read_back_from_a_query() {
        let text = "client_id=a&scope=openid%20email&state=%26%3D%2B%C3%A9&resource=x&resource=y";
        assert_eq!(Parameters::parse(text.as_bytes()).expect("valid").query(), text);
        assert_eq!(Parameters::default().query(), "");
    }

    #[test]
    fn a_client_authenticates_in_one_way() {
        let client = |form: &str, header: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(text) = header {
                let value = format!("Basic {}", STANDARD.encode(text));
                headers.insert(header::AUTHORIZATION, value.parse().expect("a header"));
            }
            Parameters::parse(form.as_bytes()).expect("valid").client(&headers)
        };
        let found = client("", Some("a%3Ab:s%20t")).expect("one way");
        assert_eq!((found.client_id.as_str(), found.client_secret.as_str(), found.basic), ("a:b", "s t", true));
        assert!(client("client_id=a", Some("a:s")).expect("the same").basic);
        assert!(!client("client_id=a&client_secret=s", None).expect("one way").basic);
        assert!(client("client_secret=s", Some("a:s")).is_err());
        assert!(client("client_id=b", Some("a:s")).is_err());
        assert!(client("", Some("no colon")).is_err());
    }
}
