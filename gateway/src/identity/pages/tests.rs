//! What pages say, and that nothing from outside leaves its place in them.
use http_body_util::BodyExt;
use proto::auth::v1::login_step::{
    OrganizationStep, PasswordStep, Provider, SecondFactorStep, SocialStep, Step, organization_step::Choice,
    second_factor_step::Method,
};

use super::*;

async fn html(response: Response<Body>) -> (http::response::Parts, String) {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a page").to_bytes();
    (parts, String::from_utf8(bytes.to_vec()).expect("UTF-8"))
}

#[tokio::test]
async fn auth_o13_no_page_is_framed_runs_script_or_leads_elsewhere() {
    let client = ClientShown { display_name: "App".to_owned(), redirect_origin: "https://app.example:8443".to_owned() };
    let asked = Consent {
        request: "r".to_owned(),
        client: Some(client),
        scopes: vec!["openid".to_owned()],
        ..Consent::default()
    };
    let (parts, _) = html(consent(&asked)).await;
    let policy = parts.headers["content-security-policy"].to_str().expect("ASCII");
    assert_eq!(
        policy,
        "default-src 'none'; style-src 'self'; form-action 'self' https://app.example:8443; frame-ancestors 'none'; base-uri 'none'"
    );
    assert_eq!(
        (&parts.headers["x-frame-options"], &parts.headers["cache-control"]),
        (&"DENY".parse().expect("a value"), &"no-store".parse().expect("a value"))
    );
    for origin in [
        "https://a.example; script-src *",
        "https://a.example 'unsafe-inline'",
        "x",
        "https://a.example,*",
        "http://[::1]:9",
    ] {
        let (parts, _) = html(page(StatusCode::OK, "x", "", origin)).await;
        let policy = parts.headers["content-security-policy"].to_str().expect("ASCII");
        assert!(policy.contains("form-action 'self';"), "{policy}");
    }
}

#[tokio::test]
async fn what_comes_from_outside_is_text() {
    let evil = "\"><script>alert('x')</script>&";
    let client = ClientShown { display_name: evil.to_owned(), redirect_origin: evil.to_owned() };
    let of = || evil.to_owned();
    let hidden = Hidden { request: of(), flow: of(), return_to: of(), origin: of(), again: true };
    let choice = Choice { organization: evil.to_owned(), display_name: evil.to_owned() };
    let provider = Provider { provider: evil.to_owned(), display_name: evil.to_owned() };
    let first = PasswordStep { passkey_options: evil.to_owned(), providers: vec![provider], ..PasswordStep::default() };
    let pages = [
        step(&Step::Password(PasswordStep::default()), &hidden, Some(&client), evil, Some(evil)),
        step(&Step::Password(first), &hidden, None, "", None),
        step(&Step::Social(SocialStep { authorization_uri: evil.to_owned() }), &hidden, None, "", None),
        email_code(&hidden, evil),
        forgotten(Some(evil), evil),
        sign_up(Some(evil), (evil, evil)),
        link("Title", "/auth/link/reset/done", evil, ("", NEW_PASSWORD, "Go")),
        step(&Step::ChooseOrganization(OrganizationStep { choices: vec![choice] }), &hidden, None, "", None),
        consent(&Consent {
            request: evil.to_owned(),
            client: Some(client.clone()),
            scopes: vec![evil.to_owned()],
            email: evil.to_owned(),
            organization: evil.to_owned(),
        }),
        device_confirm(&DeviceShown {
            client: Some(client),
            scopes: vec![evil.to_owned()],
            user_code: evil.to_owned(),
            email: evil.to_owned(),
            organization: evil.to_owned(),
        }),
        device_entry(Some(evil), evil),
        sign_out(&[("state", evil)], evil),
        message(StatusCode::OK, evil, evil),
        refused(StatusCode::BAD_GATEWAY, evil, Some(evil), evil),
        link_again("Title", "/auth/link/reset/done", evil, ("", NEW_PASSWORD, "Go"), evil),
        on(true, &format!("http://[::1]/{evil}")),
    ];
    for page in pages {
        let (_, html) = html(page).await;
        let html = html.replace(SCRIPT, "");
        assert!(!html.contains("<script") && !html.contains("\"><s"), "{html}");
        assert!(html.contains("&lt;script&gt;"), "{html}");
    }
    assert_eq!(see_other("https://a.example/\r\nx: y").status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn auth_p13_only_a_page_that_asks_for_a_passkey_runs_our_script() {
    let asks = PasswordStep { passkey_options: "{\"publicKey\":{}}".to_owned(), ..PasswordStep::default() };
    let (parts, text) = html(step(&Step::Password(asks), &Hidden::default(), None, "", None)).await;
    let policy = parts.headers["content-security-policy"].to_str().expect("ASCII");
    assert!(policy.contains("script-src 'self';") && text.contains(SCRIPT), "{policy}");
    let (parts, text) =
        html(step(&Step::Password(PasswordStep::default()), &Hidden::default(), None, SCRIPT, None)).await;
    let policy = parts.headers["content-security-policy"].to_str().expect("ASCII");
    assert!(!policy.contains("script-src") && !text.contains("<script"), "{policy}");
    // A wrong code leaves every way that the step offered.
    let second = offered("TOTP PASSKEY nonsense", "{}".to_owned());
    assert_eq!(second.methods, [i32::from(Method::Totp), i32::from(Method::Passkey)]);
    let (_, text) = html(step(&Step::SecondFactor(second), &Hidden::default(), None, "", Some("wrong"))).await;
    assert!(text.contains("name=\"methods\" value=\"TOTP PASSKEY\"") && text.contains("use_passkey"), "{text}");
}

#[tokio::test]
async fn every_field_has_a_label_and_every_page_a_title_and_a_heading() {
    let methods = vec![Method::Totp.into(), Method::RecoveryCode.into()];
    let pages = [
        step(&Step::Password(PasswordStep::default()), &Hidden::default(), None, "", None),
        step(
            &Step::SecondFactor(SecondFactorStep { methods, ..Default::default() }),
            &Hidden::default(),
            None,
            "",
            None,
        ),
        device_entry(None, ""),
        email_code(&Hidden::default(), ""),
        forgotten(None, ""),
        sign_up(None, ("", "")),
    ];
    for page in pages {
        let (_, html) = html(page).await;
        let fields = html.matches("<input id=\"").count();
        assert!(fields > 0 && html.matches("<label for=\"").count() == fields, "{html}");
        assert!(html.contains("<title>") && html.matches("<h1>").count() == 1 && html.contains("lang=\"en\""));
    }
}

#[tokio::test]
async fn what_was_wrong_is_tied_to_the_field_and_stands_in_the_title() {
    for page in [
        step(&Step::Password(PasswordStep::default()), &Hidden::default(), None, "", Some("wrong")),
        device_entry(Some("wrong"), "B"),
        link_again("Title", "/auth/link/reset/done", "t", ("", NEW_PASSWORD, "Go"), "wrong"),
    ] {
        let (_, html) = html(page).await;
        let tied = "<input aria-invalid=\"true\" aria-describedby=\"problem\" autofocus id=";
        assert!(html.contains("<title>Error: ") && html.contains("id=\"problem\">Wrong.</p>"), "{html}");
        assert_eq!(html.matches(tied).count(), 1, "{html}");
    }
}
