//! Which clients there are, and which can be registered.
use super::*;

fn client(kind: ClientKind) -> Client {
    let mut client = BUILT_IN[0].clone();
    client.id = Id::ZERO.to_string();
    client.organization = Some(OrganizationId(Id::ZERO));
    client.kind = kind;
    client.scopes = Scopes(vec!["document:read".to_owned()]);
    client.redirect_uris = vec!["https://app.example/cb".to_owned()];
    match kind {
        ClientKind::Native => {}
        ClientKind::Web => client.proof = ClientProof::Basic,
        ClientKind::Machine => {
            client.proof = ClientProof::Post;
            client.redirect_uris.clear();
        }
    }
    client
}

/// A client of this kind, spoilt; and the field that is named.
type Case = (ClientKind, fn(&mut Client), &'static str);

fn known(scope: &str) -> bool {
    scope == "document:read"
}

#[test]
fn auth_o06_o07_only_loopback_redirects_with_any_port_are_allowed() {
    let client = Client::find("workos-cli").expect("it is built in");
    for uri in ["http://127.0.0.1:1/callback", "http://127.0.0.1:65535/callback", "http://[::1]:8080/callback"] {
        assert!(client.allows(uri), "{uri}");
    }
    for uri in [
        "",
        "http://127.0.0.1/callback",
        "http://127.0.0.1:/callback",
        "http://127.0.0.1:0/callback",
        "http://127.0.0.1:080/callback",
        "http://127.0.0.1:65536/callback",
        "http://127.0.0.1:+80/callback",
        "http://127.0.0.1:80/callback/x",
        "http://127.0.0.1:80/../callback",
        "http://127.0.0.1:80/Callback",
        "http://127.0.0.1:80/callback?x=1",
        "http://127.0.0.1:80/callback#x",
        "http://127.0.0.1:80@evil.example/callback",
        "https://127.0.0.1:80/callback",
        "http://localhost:80/callback",
        "http://127.0.0.1.evil.example:80/callback",
        "javascript:alert(1)//http://127.0.0.1:80/callback",
    ] {
        assert!(!client.allows(uri), "{uri}");
    }
    assert!(Client::find("workos-cli2").is_none());
}

#[test]
fn contradictions_are_refused_with_their_field() {
    for kind in [ClientKind::Native, ClientKind::Web, ClientKind::Machine] {
        client(kind).check(known).expect("a plain client of each kind");
    }
    let cases: [Case; 10] = [
        (ClientKind::Web, |client| client.redirect_uris.clear(), "redirect_uris"),
        (ClientKind::Web, |client| client.redirect_uris = vec!["https://a.example".to_owned(); 21], "redirect_uris"),
        (ClientKind::Machine, |client| client.redirect_uris.push("https://a.example/".to_owned()), "redirect_uris"),
        (ClientKind::Web, |client| client.scopes.0.push("*".to_owned()), "scopes"),
        (ClientKind::Web, |client| client.scopes.0.push("document:fly".to_owned()), "scopes"),
        (ClientKind::Machine, |client| client.scopes.0.push("openid".to_owned()), "scopes"),
        (ClientKind::Native, |client| client.proof = ClientProof::Basic, "authentication_method"),
        (ClientKind::Machine, |client| client.proof = ClientProof::None, "authentication_method"),
        (ClientKind::Native, |client| client.refresh = RefreshMode::Keep, "refresh_mode"),
        (ClientKind::Web, |client| client.role = Some(Role::Viewer), "role"),
    ];
    for (kind, change, field) in cases {
        let mut client = client(kind);
        change(&mut client);
        let Err(Error::OAuthClientInvalid(named, _)) = client.check(known) else { panic!("{field} was taken") };
        assert_eq!(named, format!("oauth_client.{field}"));
    }
}

#[test]
fn auth_o11_a_client_gets_what_it_may_ask_for_and_no_more() {
    let web = client(ClientKind::Web);
    assert_eq!(web.grants("").expect("all it may have").text(), "document:read");
    assert_eq!(web.grants("document:read").expect("its own").text(), "document:read");
    for other in ["document:write", "document:read openid", "*", "\"", "document:read document:fly"] {
        assert_eq!(web.grants(other), None, "{other}");
    }
    let cli = Client::find("workos-cli").expect("built in");
    assert_eq!(cli.grants("openid offline_access").expect("what every client says").text(), "* openid offline_access");
    assert_eq!(cli.grants("document:write"), None);
}

#[test]
fn a_secret_is_good_until_its_end() {
    let now = OffsetDateTime::UNIX_EPOCH;
    let secrets = ClientSecrets { present: Some(vec![1; 32]), previous: Some((vec![2; 32], now)) };
    assert!(secrets.has(&[1; 32], now) && !secrets.has(&[2; 32], now) && !secrets.has(&[], now));
    assert!(secrets.has(&[2; 32], now - time::Duration::SECOND));
    assert!(!ClientSecrets::default().has(&[], now));
}
