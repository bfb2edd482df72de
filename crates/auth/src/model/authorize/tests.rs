//! What the authorization endpoint refuses, where the error goes, and when a person is asked.
use api::Id;

use super::*;
use crate::model::{ClientProof, Role};

fn client(proof: ClientProof) -> Client {
    Client {
        id: "0".repeat(26),
        organization: Some(OrganizationId(Id::ZERO)),
        kind: ClientKind::Web,
        redirect_uris: vec!["https://app.example/cb".to_owned()],
        scopes: Scopes::parse("openid document:read").expect("well-formed"),
        proof,
        ..Client::find("workos-cli").expect("built in").clone()
    }
}

fn sent() -> Parameters {
    Parameters {
        client_id: "0".repeat(26),
        redirect_uri: "https://app.example/cb".to_owned(),
        response_type: "code".to_owned(),
        scope: "openid".to_owned(),
        state: "s".to_owned(),
        code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned(),
        code_challenge_method: "S256".to_owned(),
        ..Parameters::default()
    }
}

fn read(client: Option<&Client>, sent: Parameters) -> Result<Asked, Flaw> {
    Asked::read(client, sent, Expected::Anybody)
}

fn refused(change: fn(&mut Parameters)) -> (bool, &'static str) {
    let mut sent = sent();
    change(&mut sent);
    match read(Some(&client(ClientProof::Basic)), sent).expect_err("it must be refused") {
        Flaw::Page(problem) => (false, problem.error),
        Flaw::Redirect { problem, redirect_uri, .. } => {
            assert_eq!(redirect_uri, "https://app.example/cb");
            (true, problem.error)
        }
    }
}

#[test]
fn auth_o01_o02_o08_o11_errors_go_to_the_client_by_their_names() {
    for (change, error) in [
        ((|sent| sent.code_challenge.clear()) as fn(&mut Parameters), "invalid_request"),
        (|sent| sent.code_challenge_method = "plain".to_owned(), "invalid_request"),
        (|sent| sent.code_challenge_method.clear(), "invalid_request"),
        (|sent| sent.response_type.clear(), "invalid_request"),
        (|sent| sent.response_type = "token".to_owned(), "unsupported_response_type"),
        (|sent| sent.response_type = "id_token token".to_owned(), "unsupported_response_type"),
        (|sent| sent.response_type = "code id_token".to_owned(), "unsupported_response_type"),
        (|sent| sent.response_mode = "fragment".to_owned(), "invalid_request"),
        (|sent| sent.request = "a.b.c".to_owned(), "request_not_supported"),
        (|sent| sent.scope = "openid document:write".to_owned(), "invalid_scope"),
        (|sent| sent.scope = "nonsense".to_owned(), "invalid_scope"),
        (|sent| sent.prompt = "none login".to_owned(), "invalid_request"),
        (|sent| sent.prompt = "maybe".to_owned(), "invalid_request"),
        (|sent| sent.max_age = "-1".to_owned(), "invalid_request"),
        (|sent| sent.nonce = "a\n".to_owned(), "invalid_request"),
        (|sent| sent.state = "é".to_owned(), "invalid_request"),
    ] {
        assert_eq!(refused(change), (true, error));
    }
}

#[test]
fn auth_o06_without_a_proven_redirect_uri_nobody_is_redirected() {
    for change in [
        (|sent| sent.redirect_uri.clear()) as fn(&mut Parameters),
        |sent| sent.redirect_uri = "https://evil.example/cb".to_owned(),
        |sent| sent.redirect_uri.push('/'),
    ] {
        assert_eq!(refused(change), (false, "invalid_request"));
    }
    let unknown = read(None, sent()).expect_err("nobody has the id");
    assert!(matches!(unknown, Flaw::Page(Problem { error: "invalid_client", .. })));
    let machine = Client { kind: ClientKind::Machine, role: Some(Role::Viewer), ..client(ClientProof::Basic) };
    assert!(matches!(read(Some(&machine), sent()), Err(Flaw::Page(_))));
    let browser = Parameters { redirect_uri: "workos:browser".to_owned(), ..sent() };
    assert!(matches!(read(Client::find(BROWSER), browser), Err(Flaw::Page(_))));
}

#[test]
fn auth_o10_o12_a_person_is_asked_as_often_as_needed() {
    let now = OffsetDateTime::UNIX_EPOCH + Duration::days(1);
    let ask = |proof, prompt: &str, max_age: &str, consented: Option<&str>, age: Option<i64>| {
        let client = client(proof);
        let asked =
            read(Some(&client), Parameters { prompt: prompt.to_owned(), max_age: max_age.to_owned(), ..sent() });
        let asked = asked.expect("it is good");
        let standing = age.map(|age| SignedIn {
            auth_time: now - Duration::seconds(age),
            organization: Some(None),
            consented: consented.map(|text| Scopes::parse(text).expect("well-formed")),
        });
        match next(&client, &asked, standing.as_ref(), asked.auth_after(now)) {
            Next::SignIn => "sign in",
            Next::Consent => "consent",
            Next::Grant(_) => "grant",
            Next::Refuse(problem) => problem.error,
        }
    };
    let all = Some("openid document:read");
    for (proof, prompt, max_age, consented, age, expected) in [
        (ClientProof::Basic, "", "", None, None, "sign in"),
        (ClientProof::Basic, "", "", None, Some(60), "consent"),
        (ClientProof::Basic, "", "", all, Some(60), "grant"),
        (ClientProof::Basic, "", "", Some("document:read"), Some(60), "consent"),
        (ClientProof::None, "", "", all, Some(60), "consent"),
        (ClientProof::Basic, "consent", "", all, Some(60), "consent"),
        (ClientProof::Basic, "login", "", all, Some(60), "sign in"),
        (ClientProof::Basic, "select_account", "", all, Some(60), "sign in"),
        (ClientProof::Basic, "", "59", all, Some(60), "sign in"),
        (ClientProof::Basic, "", "60", all, Some(60), "grant"),
        (ClientProof::Basic, "none", "", all, None, "login_required"),
        (ClientProof::Basic, "none", "59", all, Some(60), "login_required"),
        (ClientProof::Basic, "none", "", None, Some(60), "consent_required"),
        (ClientProof::Basic, "none", "", all, Some(60), "grant"),
    ] {
        assert_eq!(
            ask(proof, prompt, max_age, consented, age),
            expected,
            "{proof:?} {prompt} {max_age} {consented:?} {age:?}"
        );
    }
}

#[test]
fn auth_o12_the_platforms_own_tools_ask_too() {
    // Whoever listens on a port of the loopback address could be the tool (RFC 8252 section 8.6).
    let cli = Client::find("workos-cli").expect("it is built in");
    let redirect_uri = "http://127.0.0.1:8400/callback".to_owned();
    let asked = read(Some(cli), Parameters { redirect_uri, scope: String::new(), ..sent() }).expect("it is good");
    let consented = Some(cli.scopes.clone());
    let standing = SignedIn { auth_time: OffsetDateTime::UNIX_EPOCH, organization: Some(None), consented };
    assert_eq!(next(cli, &asked, Some(&standing), OffsetDateTime::UNIX_EPOCH), Next::Consent);
}

#[test]
fn who_is_no_member_where_the_client_belongs_is_refused() {
    let client = client(ClientProof::Basic);
    let asked = read(Some(&client), sent()).expect("it is good");
    let standing = SignedIn { auth_time: OffsetDateTime::UNIX_EPOCH, organization: None, consented: None };
    let next = next(&client, &asked, Some(&standing), OffsetDateTime::UNIX_EPOCH);
    assert!(matches!(next, Next::Refuse(Problem { error: "access_denied", .. })));
}
