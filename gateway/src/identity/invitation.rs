//! The page behind the link of an invitation. Who has no account makes one there; who has one signs in, comes back and accepts.
use http::{Response, StatusCode};
use proto::auth::v1::{
    AcceptInvitationRequest, GetBrowserSessionRequest, LookupInvitationRequest, LookupInvitationResponse,
    invitation_service_client::InvitationServiceClient,
};
use tonic::{Status, body::Body};

use super::{
    Endpoint,
    link::{self, ENDS, Link},
    pages::{self, NAME, NEW_PASSWORD, escaped},
    session::{Jar, is_same_origin},
    signin::{browsers, foreign},
};
use crate::{edge::Edge, filter::Passage, refusal::Refusal};

const TITLE: &str = "You are invited";

/// What an invitation is to, with the form that fits who reads it; with a note, what was wrong with the answer to it.
pub(super) async fn show(
    edge: &Edge,
    passage: &Passage,
    jar: Jar,
    token: &str,
    note: Option<&str>,
) -> Result<Response<Body>, Refusal> {
    let mut client = InvitationServiceClient::new(edge.mesh.as_workload("auth", &passage.context));
    let found = match client.lookup_invitation(LookupInvitationRequest { token: token.to_owned() }).await {
        Ok(found) => found.into_inner(),
        Err(status) => return link::refused(status),
    };
    let intro = intro(&found);
    if !found.account_exists {
        return Ok(form(token, &intro, &format!("{NAME}{NEW_PASSWORD}"), note));
    }
    let visitor = match jar.session(&passage.head.headers) {
        Some(session) => {
            let known = GetBrowserSessionRequest { session: session.to_owned() };
            browsers(edge, passage).get_browser_session(known).await.ok().map(tonic::Response::into_inner)
        }
        None => None,
    };
    Ok(match visitor {
        // Whether it is his is for auth to say.
        Some(visitor) => {
            let intro =
                format!("{intro}{ENDS}<p class=\"quiet\">You are signed in as {}.</p>", escaped(&visitor.email));
            form(token, &intro, "<input type=\"hidden\" name=\"accept\" value=\"yes\">", note)
        }
        None => {
            sign_in(token, &format!("{intro}<p>You have an account: sign in, and you come back here.</p>"), "Sign in")
        }
    })
}

fn intro(found: &LookupInvitationResponse) -> String {
    let (to, by) = (escaped(&found.organization_display_name), escaped(&found.inviter_display_name));
    format!("<p>{by} invites {} to {to}.</p>", escaped(&found.email))
}

fn form(token: &str, intro: &str, inputs: &str, note: Option<&str>) -> Response<Body> {
    let (action, parts) = (Endpoint::Act(Link::Invitation).path(), (intro, inputs, "Join"));
    match note {
        Some(note) => pages::link_again(TITLE, action, token, parts, note),
        None => pages::link(TITLE, action, token, parts),
    }
}

/// To the sign-in, and back to this page.
fn sign_in(token: &str, intro: &str, button: &str) -> Response<Body> {
    link::sign_in(Link::Invitation, TITLE, token, (intro, button))
}

/// Makes who is signed in a member.
pub(super) async fn accept(edge: &Edge, passage: &Passage, jar: Jar, token: String) -> Result<Response<Body>, Refusal> {
    let headers = &passage.head.headers;
    if !is_same_origin(&edge.public_url, headers) {
        return Ok(foreign());
    }
    let Some(session) = jar.session(headers) else { return show(edge, passage, jar, &token, None).await };
    let accepted = match accept_as(edge, passage, session, &token).await {
        // What the person may do has changed since the internal token was made: a new one, once.
        Err(status) if status.metadata().contains_key(mesh::STALE_KEY) => {
            accept_as(edge, passage, session, &token).await
        }
        other => other,
    };
    match accepted {
        Ok(()) => {
            let intro = "<p>Welcome: you belong to the organization now. Choose it when you sign in.</p>";
            Ok(pages::sign_in_first("Done", intro, &[("prompt", "login")], "Sign in"))
        }
        Err(status) if status.code() == tonic::Code::Unauthenticated => show(edge, passage, jar, &token, None).await,
        Err(status) if api::Error::from_status(&status).reason() == "INVITATION_FOREIGN" => {
            Ok(foreigner(&token, &status))
        }
        Err(status) => link::refused(status),
    }
}

/// Who is signed in is somebody else: the way on is another sign-in.
fn foreigner(token: &str, status: &Status) -> Response<Body> {
    let told = pages::sentence(api::Error::from_status(status).message());
    let intro = format!("<p role=\"alert\">{}</p>", escaped(&told));
    let mut page = sign_in(token, &intro, "Sign in with the invited account");
    *page.status_mut() = StatusCode::BAD_REQUEST;
    page
}

async fn accept_as(edge: &Edge, passage: &Passage, session: &str, token: &str) -> Result<(), Status> {
    let principal = edge.credentials.visitor(session, &passage.context).await?;
    let channel = edge.mesh.with_token("auth", principal.token.clone(), &passage.context);
    let request = AcceptInvitationRequest { token: token.to_owned() };
    let accepted = InvitationServiceClient::new(channel).accept_invitation(request).await;
    // A membership more is in no internal token that was made before; a stale one is of no use either.
    edge.credentials.forget(&principal).await;
    accepted.map(drop)
}
