//! What social login believes of a provider and for how long, what it proves in a step-up, and the trail that a link leaves.
use std::time::Duration;

use futures::future::join_all;
use proto::auth::v1::{self as wire, identity_provider::Protocol, login_step::Step, membership::Role};
use serde_json::json;
use tonic::Code;

use crate::{
    assert_refused, code_grant, logins, mail,
    social::{Social, now, oidc, providers, social},
    step_up, token, users,
};

/// Bob, whose account at the provider is linked, and his session.
async fn linked(social: &Social) -> crate::Signed {
    let owner = social.platform.owner().await;
    let bob = social.platform.user(&owner, "bob", Role::Editor).await;
    social.issuer.person("1", &bob.email, Some(true));
    social.signed().await
}

#[tokio::test]
async fn auth_o20_h02_a_link_leaves_nothing_of_who_was_there_before_and_is_told_to_log_and_owner() {
    let social = social().await;
    let system = &social.platform.system;
    let owner = social.platform.owner().await;
    let (bob, _) = social.platform.signed_user(&owner, "bob", Role::Editor).await;
    let id = "(select user_id from auth.users where email_key = 'bob@example.com')";
    for left in [
        format!(
            "insert into auth.consents select gen_random_uuid(), {id}, 'x', organization_id, 'openid', now(), now() \
             from auth.memberships where user_id = {id}"
        ),
        format!(
            "insert into auth.delegations select organization_id, gen_random_uuid(), {id}, 'workflow', 'x', array['x'], now() + interval '1 day', now() \
             from auth.memberships where user_id = {id}"
        ),
    ] {
        system.sql(&left).await;
    }
    social.issuer.person("1", &bob.email, Some(true));
    social.signed().await;
    let left = format!(
        "select (select count(*) from auth.consents where user_id = {id}), (select count(*) from auth.delegations where user_id = {id})"
    );
    assert_eq!(system.sql(&left).await, [[Some("0".to_owned()), Some("0".to_owned())]]);
    let told = "select action, actor, organization_id <> '00000000-0000-0000-0000-000000000000' from auth.audit_event \
         where action in ('identity.linked', 'credentials.voided') order by action";
    let by_bob = |action: &str| [Some(action.to_owned()), Some(bob.name.clone()), Some("t".to_owned())];
    assert_eq!(system.sql(told).await, [by_bob("credentials.voided"), by_bob("identity.linked")]);
    let notice = mail::notice(system).await;
    assert_eq!((notice.purpose().as_str_name(), &notice.email), ("NOTICE_FACTORS_CHANGED", &bob.email));
}

#[tokio::test]
async fn auth_p16_a_step_up_by_a_provider_needs_its_word_that_the_person_was_asked_again() {
    let mut social = social().await;
    let signed = linked(&social).await;
    let begun = async |social: &Social| {
        let flow = step_up::begin(&social.platform, &signed).await.flow;
        let request = wire::StartSocialLoginRequest { flow, provider: social.provider.clone() };
        logins(&social.platform.system).start_social_login(request).await.map(tonic::Response::into_inner)
    };
    for (auth_time, good) in [(None, false), (Some(now() - 600), false), (Some(now() - 30), true), (Some(now()), true)]
    {
        let step = begun(&social).await.expect("it is offered");
        let Some(Step::Social(out)) = &step.step else { panic!("the browser goes to the provider") };
        assert!(out.authorization_uri.contains("&max_age=0"), "{}", out.authorization_uri);
        let (state, code) = social.issuer.agree(&out.authorization_uri);
        social.issuer.say(|says| says.claims["auth_time"] = json!(auth_time));
        let back = social.back(&step.flow, &state, &code).await;
        if !good {
            assert_refused(back.map(drop), Code::Unauthenticated, "SOCIAL_REFUSED");
            continue;
        }
        assert!(matches!(back.expect("he was asked").step, Some(Step::Done(_))));
    }
    let step = begun(&social).await.expect("it is offered");
    let Some(Step::Social(out)) = &step.step else { panic!("the browser goes to the provider") };
    let (state, code) = social.issuer.agree(&out.authorization_uri);
    let Some(Step::Done(done)) = social.back(&step.flow, &state, &code).await.expect("he was asked").step else {
        panic!("complete")
    };
    let fresh = token(&social.platform.system, code_grant(&done.code)).await.expect("the code is good");
    assert_refused(
        crate::exchange(&social.platform.system, &signed.access).await,
        Code::Unauthenticated,
        "CREDENTIAL_INVALID",
    );
    // A service that cannot ask again proves nothing.
    let url = social.issuer.url.clone();
    let mut request = oidc(&social.issuer);
    let row = request.identity_provider.as_mut().expect("set");
    row.protocol = Protocol::Oauth2.into();
    row.authorization_endpoint = format!("{url}/authorize");
    row.token_endpoint = format!("{url}/token");
    row.userinfo_endpoint = format!("{url}/user");
    (row.subject_path, row.email_path, row.email_verified_path) =
        ("/id".to_owned(), "/email".to_owned(), "/verified".to_owned());
    let mut client = providers(&social.platform.system, &social.operator).await;
    social.provider = client.create_identity_provider(request).await.expect("the operator may").into_inner().name;
    let begun = step_up::begin(&social.platform, &fresh).await;
    let Some(Step::Password(asked)) = begun.step else { panic!("a step-up begins with a first factor") };
    assert_eq!(asked.providers.len(), 1, "nor is it offered");
    let flow = begun.flow;
    let request = wire::StartSocialLoginRequest { flow, provider: social.provider.clone() };
    let refused = logins(&social.platform.system).start_social_login(request).await;
    assert_refused(refused.map(drop), Code::Unauthenticated, "SOCIAL_REFUSED");
    social.out().await;
}

#[tokio::test]
async fn auth_p16_a_sign_in_by_a_provider_is_as_old_as_the_provider_says() {
    let social = social().await;
    linked(&social).await;
    for (auth_time, told) in [(None, 0), (Some(now() - 3600), now() - 3600)] {
        social.issuer.say(|says| says.claims["auth_time"] = json!(auth_time));
        let signed = social.signed().await;
        let claimed = step_up::claims(&signed.access)["auth_time"].as_i64().expect("a number");
        assert!((told..told + 60).contains(&claimed), "{auth_time:?} became {claimed}");
        let change = wire::ChangeEmailRequest { name: "users/me".to_owned(), email: "new@example.com".to_owned() };
        let refused = users(&social.platform.system, &signed).await.change_email(change).await;
        assert_refused(refused, Code::Unauthenticated, "STEP_UP_REQUIRED");
    }
    social.issuer.say(|says| says.claims["auth_time"] = json!(now() + 3600));
    let signed = social.signed().await;
    let claimed = step_up::claims(&signed.access)["auth_time"].as_i64().expect("a number");
    assert!(claimed <= now(), "nobody signs in tomorrow");
}

#[tokio::test]
async fn auth_p16_a_sign_in_that_must_be_fresh_is_asked_for_again_at_the_provider() {
    let social = social().await;
    linked(&social).await;
    let system = &social.platform.system;
    for (auth_time, good) in [(None, false), (Some(now() - 600), false), (Some(now()), true)] {
        let request = wire::StartLoginRequest { again: true, ..crate::start_login() };
        let flow = logins(system).start_login(request).await.expect("started").into_inner().flow;
        let (flow, state, code) = social.out_of(flow).await;
        social.issuer.say(|says| says.claims["auth_time"] = json!(auth_time));
        let back = social.back(&flow, &state, &code).await;
        match back.map(|step| step.step) {
            Ok(Some(Step::Done(_))) if good => {}
            Err(refused) if !good => assert_refused::<()>(Err(refused), Code::Unauthenticated, "SOCIAL_REFUSED"),
            Ok(_) => panic!("{auth_time:?}: not the step that was to come"),
            Err(refused) => panic!("{auth_time:?}: {refused}"),
        }
    }
    let asked = "select count(*) from auth.login_flows where again";
    assert_eq!(system.sql(asked).await[0][0].as_deref(), Some("0"), "each was taken");
}

#[tokio::test]
async fn auth_o21_an_answer_with_another_state_leaves_the_sign_in_as_it_is() {
    let social = social().await;
    linked(&social).await;
    let (flow, state, code) = social.out().await;
    for forged in ["", "x", &state[1..]] {
        let refused = social.back(&flow, forged, &code).await;
        assert_refused(refused.map(drop), Code::FailedPrecondition, "FLOW_INVALID");
    }
    social.back(&flow, &state, &code).await.expect("nobody else's answer ends it");
}

#[tokio::test]
async fn what_a_flow_keeps_on_its_way_to_a_provider_is_sealed() {
    let social = social().await;
    let (_, state, _) = social.out().await;
    let kept = social.platform.system.sql("select ceremony from auth.login_flows where stage = 4").await;
    let kept = kept[0][0].as_deref().expect("set");
    assert!(!kept.contains(&state) && !kept.contains("verifier"), "{kept}");
}

#[tokio::test]
async fn auth_j05_unknown_keys_are_looked_for_once_a_minute() {
    let social = social().await;
    linked(&social).await;
    let loads = || social.issuer.says.lock().expect("no panic").key_loads;
    social.issuer.say(|says| {
        says.claims["exp"] = json!(now() + 7200);
        says.claims["kid"] = json!("unknown");
    });
    for wanted in 1..4 {
        for _ in 0..3 {
            social.refused("SOCIAL_REFUSED").await;
        }
        assert_eq!(loads(), wanted);
        social.platform.system.clock().advance(Duration::from_secs(61));
    }
}

#[tokio::test]
async fn auth_j05_a_key_that_the_provider_has_taken_back_signs_nobody_in_after_an_hour() {
    let social = social().await;
    linked(&social).await;
    social.issuer.say(|says| {
        says.kid = "k2";
        says.claims["exp"] = json!(now() + 7200);
    });
    social.signed().await;
    social.platform.system.clock().advance(Duration::from_secs(3601));
    social.refused("SOCIAL_REFUSED").await;
    social.issuer.say(|says| says.claims["kid"] = json!("k2"));
    social.signed().await;
}

#[tokio::test]
async fn a_browser_is_sent_to_no_endpoint_that_is_no_url() {
    let social = social().await;
    social.issuer.say(|says| says.authorize_at = Some("javascript:alert(1)//".to_owned()));
    let flow = crate::begin(&social.platform.system).await;
    let request = wire::StartSocialLoginRequest { flow, provider: social.provider.clone() };
    let refused = logins(&social.platform.system).start_social_login(request).await;
    assert_refused(refused.map(drop), Code::Unauthenticated, "SOCIAL_REFUSED");
    let test = wire::TestIdentityProviderRequest { name: social.provider.clone() };
    let mut client = providers(&social.platform.system, &social.operator).await;
    let problem = client.test_identity_provider(test).await.expect("told").into_inner().problem;
    assert!(problem.contains("authorization endpoint"), "{problem}");
}

#[tokio::test]
async fn auth_o21_of_parallel_first_sign_ins_all_are_the_same_person() {
    let social = social().await;
    let owner = social.platform.owner().await;
    let bob = social.platform.user(&owner, "bob", Role::Editor).await;
    social.issuer.person("1", &bob.email, Some(true));
    let mut outs = Vec::new();
    for _ in 0..8 {
        outs.push(social.out().await);
    }
    let backs = outs.iter().map(|(flow, state, code)| social.back(flow, state, code));
    for back in join_all(backs).await {
        assert!(matches!(back.expect("linked by one of them").step, Some(Step::Done(_))));
    }
    let rows = social.platform.system.sql("select count(*) from auth.identities").await;
    assert_eq!(rows[0][0].as_deref(), Some("1"));
}

#[tokio::test]
async fn an_organization_has_twenty_providers_at_most_and_their_changes_are_told_to_the_log() {
    let social = social().await;
    let system = &social.platform.system;
    let client = providers(system, &social.operator).await;
    let create = || {
        let (mut client, request) = (client.clone(), oidc(&social.issuer));
        async move { client.create_identity_provider(request).await }
    };
    for _ in 0..18 {
        create().await.expect("the operator may");
    }
    let made = join_all((0..6).map(|_| create())).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "one place was left");
    let name = social.provider.clone();
    client
        .clone()
        .delete_identity_provider(wire::DeleteIdentityProviderRequest { name })
        .await
        .expect("the operator may");
    let told = "select action, count(*) from auth.audit_event where action like 'identity_provider.%' group by action order by action";
    let told = system.sql(told).await;
    let entry = |action: &str, count: &str| [Some(action.to_owned()), Some(count.to_owned())];
    assert_eq!(told, [entry("identity_provider.created", "20"), entry("identity_provider.deleted", "1")]);
}
