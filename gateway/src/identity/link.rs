//! Pages behind the links of mails: following a link only shows a page, so that a scanner of mails changes nothing; the form on it acts.
//!
//! No script, no foreign content, never cached, never framed, and the address with the secret is told to nobody (no referrer).
use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use proto::auth::v1::{
    LookupInvitationRequest, ResetPasswordRequest, SignUpRequest, VerifyEmailRequest,
    invitation_service_client::InvitationServiceClient, mail_service_client::MailServiceClient,
};
use tonic::{Status, body::Body};

use super::parameters::Parameters;
use crate::{edge::Edge, filter::Passage, form, refusal::Refusal};

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Prove an address.
    Verify,
    /// Choose a new password.
    Reset,
    /// Join an organization.
    Invitation,
}

const POLICY: &str = "default-src 'none'; form-action 'self'; \
     frame-ancestors 'none'; base-uri 'none'";

/// `GET /auth/link/...`: a page with a form.
pub(crate) async fn show(edge: &Edge, passage: &Passage, link: Link) -> Result<Response<Body>, Refusal> {
    let query = passage.head.uri.query().unwrap_or_default();
    let token = form::value(query, "token").and_then(form::decoded).and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(token) = token.filter(|token| !token.is_empty() && token.len() <= 128) else {
        return Ok(over(StatusCode::BAD_REQUEST));
    };
    let (title, body) = match link {
        Link::Verify => ("Confirm your address", fields(link, &token, "", "Confirm")),
        Link::Reset => ("Choose a new password", fields(link, &token, PASSWORD, "Change the password")),
        Link::Invitation => {
            let mut client = InvitationServiceClient::new(edge.mesh.as_workload("auth", &passage.context));
            let found = match client.lookup_invitation(LookupInvitationRequest { token: token.clone() }).await {
                Ok(found) => found.into_inner(),
                Err(status) => return refused(status),
            };
            let (to, by) = (escaped(&found.organization_display_name), escaped(&found.inviter_display_name));
            let intro = format!("<p>{by} invites {} to {to}.</p>", escaped(&found.email));
            if found.account_exists {
                let how =
                    "<p>You have an account: sign in, then accept with <code>POST /v1/invitations:accept</code>.</p>";
                ("Invitation", format!("{intro}{how}"))
            } else {
                ("Invitation", intro + &fields(link, &token, &format!("{NAME}{PASSWORD}"), "Join"))
            }
        }
    };
    Ok(page(StatusCode::OK, title, &body))
}

/// `POST /auth/link/.../done`: acts.
pub(crate) async fn act(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    link: Link,
) -> Result<Response<Body>, Refusal> {
    let Ok(mut form) = Parameters::read(edge, &passage, incoming).await? else {
        return Ok(over(StatusCode::BAD_REQUEST));
    };
    let mut client = MailServiceClient::new(edge.mesh.as_workload("auth", &passage.context));
    let mut take = |name: &str| form.take(name);
    let (token, password, display_name) = (take("token"), take("password"), take("display_name"));
    let (done, told) = match link {
        Link::Verify => {
            (client.verify_email(VerifyEmailRequest { token }).await.map(drop), "Your address is confirmed.")
        }
        Link::Reset => {
            let request = ResetPasswordRequest { token, new_password: password };
            let told = "Your password is changed and all sessions have ended. Sign in with the new one.";
            (client.reset_password(request).await.map(drop), told)
        }
        Link::Invitation => {
            let request = SignUpRequest { email: String::new(), display_name, password, invitation: token };
            (client.sign_up(request).await.map(drop), "Welcome. You can sign in now.")
        }
    };
    match done {
        Ok(()) => Ok(page(StatusCode::OK, "Done", &format!("<p>{told}</p>"))),
        Err(status) => refused(status),
    }
}

/// What the reader can do something about is shown; everything else is an error of the edge.
fn refused(status: Status) -> Result<Response<Body>, Refusal> {
    let error = api::Error::from_status(&status);
    match error.code() {
        api::Code::FailedPrecondition => Ok(over(StatusCode::GONE)),
        api::Code::InvalidArgument | api::Code::PermissionDenied | api::Code::AlreadyExists => {
            let message = escaped(error.message());
            let body = format!("<p role=\"alert\">This did not work: {message}.</p><p>Go back and try again.</p>");
            Ok(page(StatusCode::BAD_REQUEST, "Not done", &body))
        }
        _ => Err(error.into()),
    }
}

fn over(status: StatusCode) -> Response<Body> {
    let body =
        "<p role=\"alert\">The link was used, has ended, or a newer one has taken its place. Ask for a new mail.</p>";
    page(status, "The link is not good any more", body)
}

const NAME: &str = "<p><label for=\"n\">Your name</label><br><input id=\"n\" name=\"display_name\" autocomplete=\"name\" required maxlength=\"255\"></p>";
const PASSWORD: &str = "<p><label for=\"p\">New password, at least 15 characters</label><br><input id=\"p\" name=\"password\" type=\"password\" \
     autocomplete=\"new-password\" required minlength=\"8\" maxlength=\"1024\"></p>";

fn fields(link: Link, token: &str, inputs: &str, button: &str) -> String {
    let name = match link {
        Link::Verify => "verify",
        Link::Reset => "reset",
        Link::Invitation => "invitation",
    };
    let token = escaped(token);
    format!(
        "<form method=\"post\" action=\"/auth/link/{name}/done\"><input type=\"hidden\" name=\"token\" value=\"{token}\">{inputs}\
         <p><button type=\"submit\">{button}</button></p></form>"
    )
}

fn page(status: StatusCode, title: &str, body: &str) -> Response<Body> {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title></head><body><main><h1>{title}</h1>{body}</main></body></html>"
    );
    let mut response = Response::new(Body::new(Full::new(Bytes::from(html))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Text of others, as text.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, letter| {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' | '\'' => {
                let _ = write!(out, "&#{};", u32::from(letter));
            }
            other => out.push(other),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_text() {
        assert_eq!(escaped("<b a=\"'\">&"), "&lt;b a=&#34;&#39;&#34;&gt;&amp;");
        let form = fields(Link::Reset, "\"><script>", PASSWORD, "Go");
        assert!(!form.contains("<script>"), "{form}");
    }
}
