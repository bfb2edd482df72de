//! The pages: sign-in (`pages::steps`), consent, devices, links of mails, signing out, errors. Rendered here, with one stylesheet.
//!
//! Every text from outside is escaped at the one place where it enters a page. Headers forbid framing, and forms that lead anywhere but
//! here and to the client that a page was made for. No page needs script, and none runs any but the one that asks for a passkey, which
//! browsers offer to scripts alone.
mod steps;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use proto::auth::v1::{ClientShown, DeviceShown, authorize_response::Consent};
use serde::{Deserialize, Serialize};
pub(crate) use steps::{NAME, NEW_PASSWORD, OWN_PASSWORD, email_code, few_codes, forgotten, offered, sign_up, step};
use tonic::body::Body;

use crate::identity::Endpoint;

const STYLE: &str = include_str!("pages/style.css");
const PASSKEY: &str = include_str!("pages/passkey.js");
const HTML: &str = "text/html; charset=utf-8";

/// What a form carries from page to page, and a cookie over the way to an identity provider or to a mail.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Hidden {
    /// Handle of the authorization request, if the person was sent here by an application.
    pub(crate) request: String,
    /// Handle of the sign-in.
    pub(crate) flow: String,
    /// Path to go to afterwards, if he came by himself.
    pub(crate) return_to: String,
    /// Where the application's redirect leads; the policy of the page must admit it.
    pub(crate) origin: String,
    /// The person must prove anew who he is: an identity provider asks him again.
    #[serde(default)]
    pub(crate) again: bool,
}

impl Hidden {
    /// As a cookie keeps it while the person is elsewhere, at a provider or at his mail.
    pub(crate) fn packed(&self) -> Option<String> {
        Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).ok()?))
    }

    /// What a cookie has kept.
    pub(crate) fn unpacked(kept: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(kept).ok()?).ok()
    }

    fn fields(&self) -> String {
        let again = if self.again { "1".to_owned() } else { String::new() };
        let fields = [
            ("request", &self.request),
            ("flow", &self.flow),
            ("return_to", &self.return_to),
            ("origin", &self.origin),
            ("again", &again),
        ];
        hidden_fields(&fields.map(|(name, value)| (name, value.as_str())))
    }
}

/// Fields that nobody sees; those without a value are left out.
fn hidden_fields(fields: &[(&str, &str)]) -> String {
    let sent = fields.iter().filter(|(_, value)| !value.is_empty());
    sent.map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escaped(value))).collect()
}

/// What an application asks for.
pub(crate) fn consent(asked: &Consent) -> Response<Body> {
    let client = asked.client.clone().unwrap_or_default();
    let name = named(&client);
    let hidden = Hidden { request: asked.request.clone(), ..Hidden::default() };
    // The name is the application's own choice; where it leads is registered.
    let to = match client.redirect_origin.as_str() {
        "" => String::new(),
        origin => format!("<p class=\"quiet\">Then you go on to {}.</p>", escaped(origin)),
    };
    let body = format!(
        "<h1>Let {name} in?</h1><p>{name} asks for:</p><ul>{}</ul>{to}{}\
         <form method=\"post\" action=\"{}\">{}\
         <button name=\"decision\" value=\"approve\">Allow</button>\
         <button class=\"second\" name=\"decision\" value=\"deny\">Do not allow</button></form>",
        scopes(&asked.scopes),
        who(&asked.email, &asked.organization),
        Endpoint::Consent.path(),
        hidden.fields()
    );
    page(StatusCode::OK, "Let an application in?", &body, &client.redirect_origin)
}

/// Asks for the code that a device shows; `code` is what is known of it.
pub(crate) fn device_entry(note: Option<&str>, code: &str) -> Response<Body> {
    let (alert, fields) = noted(
        note,
        format!(
            "<label for=\"user_code\">Code on the device's screen</label>\
             <input id=\"user_code\" name=\"user_code\" type=\"text\" autocomplete=\"off\" autocapitalize=\"characters\" required \
             maxlength=\"16\" value=\"{}\">",
            escaped(code)
        ),
    );
    let body = format!(
        "<h1>Connect a device</h1>{alert}<form method=\"post\" action=\"{}\">{fields}<button>Go on</button></form>",
        Endpoint::Device.path()
    );
    let status = if note.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    page(status, "Connect a device", &body, "")
}

/// Asks whether a device shall be let in.
pub(crate) fn device_confirm(device: &DeviceShown) -> Response<Body> {
    let client = device.client.clone().unwrap_or_default();
    let name = named(&client);
    let body = format!(
        "<h1>Let {name} in on a device?</h1><p>The device shows <code>{code}</code>. If yours does not, somebody else wants in: do not allow it.</p>\
         <p>{name} asks for:</p><ul>{}</ul>{}<form method=\"post\" action=\"{}\">\
         <input type=\"hidden\" name=\"user_code\" value=\"{code}\">\
         <button name=\"decision\" value=\"approve\">Allow</button>\
         <button class=\"second\" name=\"decision\" value=\"deny\">Do not allow</button></form>",
        scopes(&device.scopes),
        who(&device.email, &device.organization),
        Endpoint::Device.path(),
        code = escaped(&device.user_code),
    );
    page(StatusCode::OK, "Let a device in?", &body, "")
}

/// Asks whether to sign out.
pub(crate) fn sign_out(fields: &[(&str, &str)], origin: &str) -> Response<Body> {
    let fields = hidden_fields(fields);
    let body = format!(
        "<h1>Sign out?</h1><form method=\"post\" action=\"{}\">{fields}<button name=\"confirmed\" value=\"yes\">Sign out</button></form>",
        Endpoint::Logout.path()
    );
    page(StatusCode::OK, "Sign out?", &body, origin)
}

/// The address of a page holds a secret: it is told to nobody but this host, whose forms the browser would else send without an origin.
pub(crate) fn unreferred(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// What HEAD tells of a page that is made, and stored, for who looks at it.
pub(crate) fn unmade() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(HTML));
    sealed(response, "", false)
}

/// A page that only says something.
pub(crate) fn message(status: StatusCode, title: &str, text: &str) -> Response<Body> {
    page(status, title, &format!("<h1>{}</h1><p>{}</p>", escaped(title), escaped(&sentence(text))), "")
}

/// Something is done; a link leads on.
pub(crate) fn done(text: &str, (to, label): (Endpoint, &str)) -> Response<Body> {
    let body = format!("<h1>Done</h1><p>{}</p><p><a href=\"{}\">{label}</a></p>", escaped(text), to.path());
    page(StatusCode::OK, "Done", &body, "")
}

/// What the edge refuses, with a way to begin again, which is in the mail where there is no address, and what whoever runs this service
/// needs to find it.
pub(crate) fn refused(status: StatusCode, text: &str, again: Option<&str>, id: &str) -> Response<Body> {
    let title = match status {
        StatusCode::TOO_MANY_REQUESTS => "Too many attempts",
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => "Not available at the moment",
        status if status.is_server_error() => "Something went wrong here",
        _ => "This did not work",
    };
    let again = match again {
        Some(again) => format!("<a href=\"{}\">Begin again</a>", escaped(again)),
        None => "To begin again, open the link of the mail again.".to_owned(),
    };
    let body = format!(
        "<h1>{title}</h1><p>{}</p><p>{again}</p><p class=\"quiet\">Request {}</p>",
        escaped(&sentence(text)),
        escaped(id)
    );
    unreferred(page(status, title, &body, ""))
}

/// Sends the browser elsewhere, by GET whatever it came with (RFC 9700 section 4.12).
pub(crate) fn see_other(location: &str) -> Response<Body> {
    let Ok(location) = HeaderValue::from_str(location) else {
        return message(StatusCode::BAD_REQUEST, "This leads nowhere", "Begin again at the application.");
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, location);
    sealed(response, "", false)
}

/// Sends the browser to an application. After a form an address that no policy can name, an IPv6 literal, is reached over a page.
pub(crate) fn on(after_form: bool, uri: &str) -> Response<Body> {
    let nameless = uri.starts_with("http://[") || uri.starts_with("https://[");
    if after_form && nameless { away("Back to the application", uri) } else { see_other(uri) }
}

/// Leads elsewhere, for example to an identity provider. A page and not a redirect: it follows a form, and the policy lets forms lead
/// nowhere else.
pub(crate) fn away(title: &str, uri: &str) -> Response<Body> {
    let uri = escaped(uri);
    let body = format!(
        "<h1>{title}</h1><p>If nothing happens, <a href=\"{uri}\">go on by this link</a>.</p>\
         <meta http-equiv=\"refresh\" content=\"0;url={uri}\">"
    );
    page(StatusCode::OK, title, &body, "")
}

/// What did not work, and the fields with the first of them tied to it.
fn noted(note: Option<&str>, fields: String) -> (String, String) {
    let Some(note) = note else { return (String::new(), fields) };
    let tied = "<input aria-invalid=\"true\" aria-describedby=\"problem\" autofocus id=";
    let alert = format!("<p role=\"alert\" id=\"problem\">{}</p>", escaped(&sentence(note)));
    (alert, fields.replacen("<input id=", tied, 1))
}

/// A message of the API begins small and ends without a period.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    let sentence: String = first.chain(letters).collect();
    format!("{}.", sentence.trim_end_matches('.'))
}

/// The page behind a link of a mail: a form that acts, with the token of the link.
pub(crate) fn link(title: &str, action: &str, token: &str, parts: (&str, &str, &str)) -> Response<Body> {
    behind(title, action, token, parts, None)
}

/// The same once more, with what was wrong: the link is still good.
pub(crate) fn link_again(
    title: &str,
    action: &str,
    token: &str,
    parts: (&str, &str, &str),
    note: &str,
) -> Response<Body> {
    behind(title, action, token, parts, Some(note))
}

fn behind(
    title: &str,
    action: &str,
    token: &str,
    (intro, inputs, button): (&str, &str, &str),
    note: Option<&str>,
) -> Response<Body> {
    let (alert, inputs) = noted(note, inputs.to_owned());
    let form = format!(
        "<h1>{title}</h1>{intro}{alert}<form method=\"post\" action=\"{action}\">\
         <input type=\"hidden\" name=\"token\" value=\"{}\">{inputs}<button>{button}</button></form>",
        escaped(token)
    );
    let status = if note.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    unreferred(page(status, title, &form, ""))
}

/// A page that leads to the sign-in.
pub(crate) fn sign_in_first(title: &str, intro: &str, fields: &[(&str, &str)], button: &str) -> Response<Body> {
    let form = format!(
        "<h1>{title}</h1>{intro}<form method=\"get\" action=\"{}\">{}<button>{button}</button></form>",
        Endpoint::SignIn.path(),
        hidden_fields(fields)
    );
    unreferred(page(StatusCode::OK, title, &form, ""))
}

/// The stylesheet.
pub(crate) fn style() -> Response<Body> {
    asset(STYLE, "text/css; charset=utf-8")
}

/// The script that asks for a passkey.
pub(crate) fn passkey_script() -> Response<Body> {
    asset(PASSKEY, "text/javascript; charset=utf-8")
}

fn asset(text: &'static str, kind: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(Bytes::from_static(text.as_bytes()))));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

fn named(client: &ClientShown) -> String {
    if client.display_name.is_empty() { "The platform's own tool".to_owned() } else { escaped(&client.display_name) }
}

fn who(email: &str, organization: &str) -> String {
    let place = if organization.is_empty() { String::new() } else { format!(" in {}", escaped(organization)) };
    let out = Endpoint::Logout.path();
    format!("<p class=\"quiet\">You are signed in as {}{place}. <a href=\"{out}\">Not you?</a></p>", escaped(email))
}

/// Scopes in words; a permission of the contract is `resource:verb`.
fn scopes(scopes: &[String]) -> String {
    let words = |scope: &String| match scope.as_str() {
        "*" => "everything that you may do".to_owned(),
        "openid" => "who you are".to_owned(),
        "profile" => "your name and organization".to_owned(),
        "email" => "your e-mail address".to_owned(),
        "offline_access" => "access while you are away, until you take it back".to_owned(),
        other => match other.split_once(':') {
            Some((resource, verb)) => format!("{}: {}", escaped(&resource.replace('_', " ")), escaped(verb)),
            None => escaped(other),
        },
    };
    scopes.iter().map(|scope| format!("<li>{}</li>", words(scope))).collect()
}

fn page(status: StatusCode, title: &str, body: &str, origin: &str) -> Response<Body> {
    // The title is what is read first.
    let problem = if status.is_client_error() || status.is_server_error() { "Error: " } else { "" };
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{problem}{}</title>\
         <link rel=\"stylesheet\" href=\"{}\"></head><body><main>{body}</main></body></html>",
        escaped(title),
        Endpoint::Style.path()
    );
    let mut response = Response::new(Body::new(Full::new(Bytes::from(html))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(HTML));
    sealed(response, origin, body.contains(SCRIPT))
}

/// Where a page asks for the script; nothing from outside is ever written like this, since its quotes are escaped.
const SCRIPT: &str = "<script src=\"/signin/passkey.js\" defer></script>";

/// Headers of every page. Browsers apply `form-action` to the redirect behind a form too, hence the client's origin.
fn sealed(mut response: Response<Body>, origin: &str, script: bool) -> Response<Body> {
    let origin = if is_source(origin) { format!(" {origin}") } else { String::new() };
    let script = if script { "script-src 'self'; " } else { "" };
    let policy = format!(
        "default-src 'none'; style-src 'self'; {script}form-action 'self'{origin}; frame-ancestors 'none'; base-uri 'none'"
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    response
}

/// A source of Content Security Policy: an origin, or a scheme with its colon. Nothing that could end the directive, and no IPv6
/// literal, which the policy's grammar does not know.
fn is_source(origin: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.:/".contains(&byte);
    !origin.is_empty() && origin.len() <= 1024 && origin.bytes().all(allowed) && origin.contains(':')
}

/// Text as HTML shows it, in elements and in quoted attributes.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests;
