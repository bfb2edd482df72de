//! Passkeys, by the virtual authenticator of another hand: registration, sign-in alone and as second factor, and what is refused.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use mesh::client::Channel;
use passkey::{
    authenticator::{Authenticator, UiHint, UserCheck, UserValidationMethod},
    client::{Client, DefaultClientData, DefaultClientDataWithCustomHash},
    crypto::rust_crypto::RustCryptoBackend,
    types::{
        Passkey,
        ctap2::{Aaguid, Ctap2Error},
        webauthn::{CredentialCreationOptions, CredentialRequestOptions},
    },
};
use proto::auth::v1::{
    self as wire, continue_login_request::Answer, login_step::Step, membership::Role,
    passkey_service_client::PasskeyServiceClient,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::System;
use tonic::{Code, Status};
use webauthn_rs::prelude::Url;

use crate::{
    Platform, Signed, assert_refused, channel, code_grant,
    factor::{factors, second},
    logins, password_of, platform, start_login, token, try_password,
};

const ORIGIN: &str = "http://localhost:8080";

/// Whoever holds the device: he is there, and verified when that is asked.
struct Person;

#[tonic::async_trait]
impl UserValidationMethod for Person {
    type PasskeyItem = Passkey;

    async fn check_user<'a>(
        &self,
        _hint: UiHint<'a, Passkey>,
        presence: bool,
        verification: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck { presence, verification })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(true)
    }
}

/// A device that holds one passkey.
#[derive(Clone, Default)]
struct Device(Option<Passkey>);

impl Device {
    fn authenticator(&self) -> Authenticator<Option<Passkey>, Person, RustCryptoBackend> {
        let mut authenticator = Authenticator::new(Aaguid::new_empty(), self.0.clone(), Person, RustCryptoBackend);
        authenticator.set_make_credentials_with_signature_counter(true);
        authenticator
    }

    /// `navigator.credentials.create` on a page of this origin.
    async fn create(&mut self, origin: &str, options: &str) -> String {
        let options: CredentialCreationOptions = serde_json::from_str(options).expect("options of the standard");
        let mut client = Client::new(self.authenticator()).allows_insecure_localhost(true);
        let origin = Url::parse(origin).expect("an origin");
        let made = client.register(&origin, options, DefaultClientData).await.expect("the device makes a passkey");
        self.0 = client.authenticator().store().clone();
        serde_json::to_string(&made).expect("JSON of the standard")
    }

    /// `navigator.credentials.get` on a page of this origin.
    async fn get(&mut self, origin: &str, options: &str) -> String {
        let options: CredentialRequestOptions = serde_json::from_str(options).expect("options of the standard");
        let mut client = Client::new(self.authenticator()).allows_insecure_localhost(true);
        let origin = Url::parse(origin).expect("an origin");
        let given = client.authenticate(&origin, options, DefaultClientData).await.expect("the device answers");
        self.0 = client.authenticator().store().clone();
        serde_json::to_string(&given).expect("JSON of the standard")
    }
}

impl Device {
    /// What an authenticator answers that was asked for another relying party, by software that writes the right origin into the client data.
    async fn get_for(&mut self, party: &str, options: &str) -> String {
        let asked: Value = serde_json::from_str(options).expect("JSON");
        let challenge = &asked["publicKey"]["challenge"];
        let data = json!({"type": "webauthn.get", "challenge": challenge, "origin": ORIGIN, "crossOrigin": false});
        let data = data.to_string();
        let elsewhere = changed(options, |options| options["publicKey"]["rpId"] = json!(party));
        let options: CredentialRequestOptions = serde_json::from_str(&elsewhere).expect("options of the standard");
        let mut client = Client::new(self.authenticator()).allows_insecure_localhost(true);
        let origin = Url::parse(&format!("https://{party}")).expect("an origin");
        let origin = if party == "localhost" { Url::parse(ORIGIN).expect("an origin") } else { origin };
        let hash = DefaultClientDataWithCustomHash(Sha256::digest(&data).to_vec());
        let given = client.authenticate(&origin, options, hash).await.expect("the device answers");
        self.0 = client.authenticator().store().clone();
        let given = serde_json::to_string(&given).expect("JSON of the standard");
        changed(&given, |value| value["response"]["clientDataJSON"] = json!(URL_SAFE_NO_PAD.encode(&data)))
    }
}

pub(crate) async fn passkeys(system: &System, signed: &Signed) -> PasskeyServiceClient<Channel> {
    PasskeyServiceClient::new(channel(system, signed).await)
}

async fn begin(system: &System, signed: &Signed) -> wire::StartPasskeyRegistrationResponse {
    let request = wire::StartPasskeyRegistrationRequest { parent: "users/me".to_owned() };
    passkeys(system, signed).await.start_passkey_registration(request).await.expect("his own").into_inner()
}

async fn end(
    system: &System,
    signed: &Signed,
    registration: &str,
    credential: String,
) -> Result<wire::FinishPasskeyRegistrationResponse, Status> {
    let request = wire::FinishPasskeyRegistrationRequest {
        parent: "users/me".to_owned(),
        registration: registration.to_owned(),
        credential,
        display_name: "Laptop".to_owned(),
    };
    passkeys(system, signed).await.finish_passkey_registration(request).await.map(tonic::Response::into_inner)
}

/// Bob with a passkey on his device.
pub(crate) struct Registered {
    pub(crate) user: wire::User,
    pub(crate) signed: Signed,
    device: Device,
    pub(crate) name: String,
    recovery: Vec<String>,
}

pub(crate) async fn registered(platform: &Platform) -> Registered {
    let owner = platform.owner().await;
    let (user, signed) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let mut device = Device::default();
    let started = begin(&platform.system, &signed).await;
    let made = device.create(ORIGIN, &started.options).await;
    let done = end(&platform.system, &signed, &started.registration, made).await.expect("registered");
    let name = done.passkey.expect("it is told").name;
    Registered { user, signed, device, name, recovery: done.recovery_codes }
}

impl Registered {
    /// Bob signed in with his passkey.
    pub(crate) async fn signed_strongly(&mut self, platform: &Platform) -> Signed {
        let (flow, options) = asked(&platform.system).await;
        let given = self.device.get(ORIGIN, &options).await;
        let step = answer(&platform.system, &flow, given).await.expect("his").step;
        let Some(Step::Done(done)) = step else { panic!("complete") };
        token(&platform.system, code_grant(&done.code)).await.expect("the code is good")
    }
}

/// A new sign-in: its flow, and what a passkey is asked.
async fn asked(system: &System) -> (String, String) {
    let step = logins(system).start_login(start_login()).await.expect("started").into_inner();
    match step.step {
        Some(Step::Password(asked)) => (step.flow, asked.passkey_options),
        _ => panic!("a sign-in begins with a first factor"),
    }
}

async fn answer(system: &System, flow: &str, answer: String) -> Result<wire::LoginStep, Status> {
    logins(system).continue_login(second(flow, Answer::Passkey(answer))).await.map(tonic::Response::into_inner)
}

fn changed(answer: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value = serde_json::from_str(answer).expect("JSON");
    change(&mut value);
    value.to_string()
}

/// The answer with other client data.
fn with_client_data(answer: &str, change: impl FnOnce(&mut Value)) -> String {
    changed(answer, |value| {
        let data = &mut value["response"]["clientDataJSON"];
        let bytes = URL_SAFE_NO_PAD.decode(data.as_str().expect("text")).expect("base64url");
        let mut inner: Value = serde_json::from_slice(&bytes).expect("JSON");
        change(&mut inner);
        *data = Value::from(URL_SAFE_NO_PAD.encode(inner.to_string()));
    })
}

#[tokio::test]
async fn a_passkey_signs_in_alone_with_class_two() {
    let platform = platform().await;
    let mut bob = registered(&platform).await;
    let system = &platform.system;
    assert_eq!(bob.recovery.len(), 10, "a lost passkey must not lock its user out");
    let (flow, options) = asked(system).await;
    assert!(!options.contains(&bob.user.email) && !options.contains("allowCredentials\":[{"), "nobody is named");
    let given = bob.device.get(ORIGIN, &options).await;
    let Some(Step::Done(done)) = answer(system, &flow, given).await.expect("his passkey").step else {
        panic!("two factors in one are enough")
    };
    let signed = token(system, code_grant(&done.code)).await.expect("the code is good");
    let claims = crate::step_up::claims(&signed.access);
    assert_eq!((claims["acr"].as_str(), claims["amr"].clone()), (Some("2"), json!(["pop", "user", "mfa"])));
    let got = passkeys(system, &signed).await.get_passkey(wire::GetPasskeyRequest { name: bob.name.clone() }).await;
    assert!(got.expect("his own").into_inner().last_use_time.is_some());
    let handle = system.sql("select handle::text, user_id::text from auth.passkey_handles").await.remove(0);
    assert_ne!(handle[0], handle[1], "authenticators know him by another id");
}

#[tokio::test]
async fn a_passkey_is_the_second_factor_after_a_password() {
    let platform = platform().await;
    let mut bob = registered(&platform).await;
    let system = &platform.system;
    let step = try_password(system, &bob.user.email, &password_of("bob")).await.expect("right");
    let Some(Step::SecondFactor(wanted)) = &step.step else { panic!("a second factor is asked for") };
    assert_eq!(wanted.methods().map(|method| method.as_str_name()).collect::<Vec<_>>(), ["PASSKEY", "RECOVERY_CODE"]);
    let given = bob.device.get(ORIGIN, &wanted.passkey_options).await;
    let done = answer(system, &step.flow, given).await.expect("his passkey");
    assert!(matches!(done.step, Some(Step::Done(_))));
    let step = try_password(system, &bob.user.email, &password_of("bob")).await.expect("right");
    let lost = second(&step.flow, Answer::RecoveryCode(bob.recovery[0].clone()));
    let done = logins(system).continue_login(lost).await.expect("for the day when it is lost").into_inner();
    assert!(matches!(done.step, Some(Step::Done(_))));
}

#[tokio::test]
async fn auth_p13_an_answer_that_does_not_fit_is_refused_and_takes_its_flow() {
    let platform = platform().await;
    let mut bob = registered(&platform).await;
    let system = &platform.system;
    let refused = |answer: Result<wire::LoginStep, Status>| {
        assert_refused(answer.map(drop), Code::Unauthenticated, "PASSKEY_REFUSED");
    };
    let (flow, options) = asked(system).await;
    let good = bob.device.get(ORIGIN, &options).await;
    answer(system, &flow, good.clone()).await.expect("this one fits");
    let again = answer(system, &flow, good.clone()).await.map(drop);
    assert_refused(again, Code::FailedPrecondition, "FLOW_INVALID");
    let (flow, _) = asked(system).await;
    refused(answer(system, &flow, good).await);

    let (flow, options) = asked(system).await;
    refused(answer(system, &flow, bob.device.get("http://localhost:9999", &options).await).await);
    let (flow, options) = asked(system).await;
    refused(answer(system, &flow, bob.device.get_for("evil.example", &options).await).await);
    let (flow, options) = asked(system).await;
    let same_way = bob.device.get_for("localhost", &options).await;
    answer(system, &flow, same_way).await.expect("of the relying party itself it is good");
    let (flow, options) = asked(system).await;
    let unasked = changed(&options, |options| options["publicKey"]["userVerification"] = json!("discouraged"));
    refused(answer(system, &flow, bob.device.get(ORIGIN, &unasked).await).await);
    for change in [
        (|data: &mut Value| data["type"] = json!("webauthn.create")) as fn(&mut Value),
        |data| data["origin"] = json!("http://localhost:8080.evil.example"),
        |data| data["challenge"] = json!("AAAA"),
    ] {
        let (flow, options) = asked(system).await;
        let given = bob.device.get(ORIGIN, &options).await;
        refused(answer(system, &flow, with_client_data(&given, change)).await);
    }
    let (flow, options) = asked(system).await;
    let given = bob.device.get(ORIGIN, &options).await;
    refused(answer(system, &flow, changed(&given, |value| value["response"]["userHandle"] = Value::Null)).await);
    // The device counts on, so that none of these was taken for a copy: the next one that fits is good.
    let (flow, options) = asked(system).await;
    let given = bob.device.get(ORIGIN, &options).await;
    answer(system, &flow, given).await.expect("this one fits");
    let step = try_password(system, &bob.user.email, &password_of("bob")).await.expect("right");
    let (_, options) = asked(system).await;
    refused(answer(system, &step.flow, bob.device.get(ORIGIN, &options).await).await);
}

#[tokio::test]
async fn auth_p13_a_counter_that_goes_back_disables_the_passkey() {
    let platform = platform().await;
    let mut bob = registered(&platform).await;
    let system = &platform.system;
    let mut copy = bob.device.clone();
    for _ in 0..2 {
        let (flow, options) = asked(system).await;
        let given = bob.device.get(ORIGIN, &options).await;
        answer(system, &flow, given).await.expect("the counter rises");
    }
    for device in [&mut copy, &mut bob.device] {
        let (flow, options) = asked(system).await;
        let given = device.get(ORIGIN, &options).await;
        let refused = answer(system, &flow, given).await;
        assert_refused(refused.map(drop), Code::Unauthenticated, "PASSKEY_REFUSED");
    }
    let get = wire::GetPasskeyRequest { name: bob.name.clone() };
    assert!(passkeys(system, &bob.signed).await.get_passkey(get).await.expect("his own").into_inner().disabled);
    assert_eq!(system.published("auth", "passkey.disabled").await.len(), 1);
    let step = try_password(system, &bob.user.email, &password_of("bob")).await.expect("right");
    let Some(Step::SecondFactor(asked)) = step.step else { panic!("the bar is as high as before") };
    assert_eq!(asked.methods().map(|method| method.as_str_name()).collect::<Vec<_>>(), ["RECOVERY_CODE"]);
}

#[tokio::test]
async fn auth_p13_a_copy_that_answers_a_second_factor_begun_before_is_noticed() {
    let platform = platform().await;
    let mut bob = registered(&platform).await;
    let system = &platform.system;
    let begun = async || {
        let step = try_password(system, &bob.user.email, &password_of("bob")).await.expect("right");
        let Some(Step::SecondFactor(wanted)) = step.step else { panic!("a second factor is asked for") };
        (step.flow, wanted.passkey_options)
    };
    let (his, others) = (begun().await, begun().await);
    let mut copy = bob.device.clone();
    let given = bob.device.get(ORIGIN, &his.1).await;
    answer(system, &his.0, given).await.expect("his passkey");
    let given = copy.get(ORIGIN, &others.1).await;
    let refused = answer(system, &others.0, given).await;
    assert_refused(refused.map(drop), Code::Unauthenticated, "PASSKEY_REFUSED");
    assert_eq!(system.published("auth", "passkey.disabled").await.len(), 1);
}

#[tokio::test]
async fn auth_s09_a_passkey_that_answers_a_sign_in_that_has_ended_is_not_used() {
    let platform = platform().await;
    let mut bob = registered(&platform).await;
    let system = &platform.system;
    let step = try_password(system, &bob.user.email, &password_of("bob")).await.expect("right");
    let Some(Step::SecondFactor(wanted)) = step.step else { panic!("a second factor is asked for") };
    crate::at_work::revoke_all(system, &bob.signed, true).await;
    let given = bob.device.get(ORIGIN, &wanted.passkey_options).await;
    let ended = answer(system, &step.flow, given).await.map(drop);
    assert_refused(ended, Code::FailedPrecondition, "FLOW_INVALID");
    let get = wire::GetPasskeyRequest { name: bob.name.clone() };
    let passkey = passkeys(system, &bob.signed).await.get_passkey(get).await.expect("his own").into_inner();
    assert_eq!(passkey.last_use_time, None);
}

#[tokio::test]
async fn auth_p13_a_registration_is_bound_to_its_user_and_good_once() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (_, bob) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let (_, carol) = platform.signed_user(&owner, "carol", Role::Editor).await;
    let system = &platform.system;
    let started = begin(system, &bob).await;
    let wrong = Device::default().create("http://localhost:9999", &started.options).await;
    let answer = end(system, &bob, &started.registration, wrong).await.map(drop);
    assert_refused(answer, Code::Unauthenticated, "PASSKEY_REFUSED");
    let late = Device::default().create(ORIGIN, &started.options).await;
    let answer = end(system, &bob, &started.registration, late).await.map(drop);
    assert_refused(answer, Code::FailedPrecondition, "FLOW_INVALID");
    let started = begin(system, &bob).await;
    let mut device = Device::default();
    let made = device.create(ORIGIN, &started.options).await;
    let stolen = end(system, &carol, &started.registration, made.clone()).await.map(drop);
    assert_refused(stolen, Code::FailedPrecondition, "FLOW_INVALID");
    end(system, &bob, &started.registration, made).await.expect("his own");
    let unverified = begin(system, &carol).await;
    let weak = changed(&unverified.options, |options| {
        options["publicKey"]["authenticatorSelection"]["userVerification"] = json!("discouraged");
    });
    let made = Device::default().create(ORIGIN, &weak).await;
    let answer = end(system, &carol, &unverified.registration, made).await.map(drop);
    assert_refused(answer, Code::Unauthenticated, "PASSKEY_REFUSED");
}

#[tokio::test]
async fn a_passkey_is_renamed_listed_and_deleted_by_its_user() {
    let platform = platform().await;
    let mut bob = registered(&platform).await;
    let system = &platform.system;
    let mut weak = passkeys(system, &bob.signed).await;
    let delete = wire::DeletePasskeyRequest { name: bob.name.clone() };
    let refused = weak.delete_passkey(delete.clone()).await;
    assert_refused(refused, Code::Unauthenticated, "STEP_UP_REQUIRED");
    let renamed = wire::Passkey { name: bob.name.clone(), display_name: "Old laptop".to_owned(), ..Default::default() };
    let request = wire::UpdatePasskeyRequest { passkey: Some(renamed.clone()), update_mask: None };
    let passkey = weak.update_passkey(request).await.expect("his own").into_inner();
    assert_eq!(passkey.display_name, "Old laptop");
    let stale = wire::Passkey { etag: "\"stale\"".to_owned(), display_name: "x".to_owned(), ..renamed };
    let request = wire::UpdatePasskeyRequest { passkey: Some(stale), update_mask: None };
    assert_eq!(weak.update_passkey(request).await.expect_err("not the current one").code(), Code::Aborted);
    let strong = bob.signed_strongly(&platform).await;
    let mut own = passkeys(system, &strong).await;
    own.delete_passkey(delete.clone()).await.expect("his own");
    own.delete_passkey(delete).await.expect("gone already");
    let list = wire::ListPasskeysRequest { parent: bob.user.name.clone(), ..Default::default() };
    assert!(own.list_passkeys(list).await.expect("his own").into_inner().passkeys.is_empty());
    let none = wire::RegenerateRecoveryCodesRequest { parent: bob.user.name.clone() };
    let refused = factors(system, &strong).await.regenerate_recovery_codes(none).await;
    assert_refused(refused, Code::FailedPrecondition, "FACTOR_MISSING");
}
