//! The first owner comes over loopback alone, whatever the code.
use http::Method;
use serde_json::json;

use crate::{
    client::encoded,
    person::{CLIENT, Person, REDIRECT},
    platform::{Platform, Site, shared},
};

#[tokio::test]
async fn auth_h04_what_a_proxy_has_passed_on_makes_no_first_owner() {
    let platform = Platform::start(Site::new().await).await;
    let client = platform.client();
    let body = json!({
        "code": platform.site().bootstrap_code().await, "email": "mallory@owner.example", "displayName": "Mallory",
        "password": "vK4 rqz Lp8 wmN 7", "organizationDisplayName": "Not his",
    });
    for (name, value) in [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9"), ("via", "1.1 proxy")] {
        let answer = client.post("/v1/bootstrap:complete", &body).header(name, value).send().await;
        answer.is_refused(403, "ACCESS_DENIED");
        let rpc = client.post("/workos.auth.v1.BootstrapService/CompleteBootstrap", &body);
        let rpc = rpc.header("connect-protocol-version", "1").header(name, value).send().await;
        assert_eq!(rpc.status, 403, "{}", rpc.show());
    }
    client.get("/v1/bootstrap").header("x-forwarded-for", "203.0.113.9").good().await;
    assert_eq!(platform.site().count("select count(*) from auth.users").await, 0);
    Person::first(&client, platform.site()).await;
}

#[tokio::test]
async fn auth_s09_a_session_tells_the_program_and_the_network_that_the_edge_has_seen() {
    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0";
    let shared = shared().await;
    let client = shared.platform.client();
    let dora = shared.owner.member(&client, "Dora", None).await;
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let start = json!({
        "clientId": CLIENT, "redirectUri": REDIRECT, "codeChallengeMethod": "S256",
        "codeChallenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    });
    // Nobody but the mesh says what the mesh says.
    let seen = |call: crate::client::Call| call.header("user-agent", FIREFOX).header("x-workos-user-agent", "forged");
    let step = seen(client.post("/v1/login:start", &start)).good().await;
    let answer = json!({"flow": step["flow"], "password": {"email": dora.email, "password": dora.password()}});
    let step = seen(client.post("/v1/login:continue", &answer)).good().await;
    let form = format!(
        "grant_type=authorization_code&client_id={CLIENT}&redirect_uri={}&code_verifier={verifier}&code={}",
        encoded(REDIRECT),
        step["done"]["code"].as_str().expect("the sign-in is done"),
    );
    let token = client.call(Method::POST, "/oauth2/token").body("application/x-www-form-urlencoded", form).good().await;
    let signed = client.with_token(token["access_token"].as_str().expect("a token"));
    let listed = signed.get("/v1/users/me/sessions").good().await;
    let [session] = listed["sessions"].as_array().expect("a list").as_slice() else { panic!("{listed}") };
    assert_eq!((&session["device"], &session["userAgent"]), (&json!("Firefox on Linux"), &json!(FIREFOX)));
    assert_eq!((&session["network"], &session["lastNetwork"]), (&json!("127.0.0.1"), &json!("127.0.0.1")));
    assert_eq!((&session["current"], &session["amr"]), (&json!(true), &json!(["pwd"])));
    let name = session["name"].as_str().expect("it has a name");
    assert_eq!(&signed.get(format!("/v1/{name}")).good().await, session);
}
