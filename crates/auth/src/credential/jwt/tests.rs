//! Cases J1 to J8 of auth.md: what is no access token of ours.
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::credential::keyring::generate_edge;

const ISSUER: &str = "http://127.0.0.1:8080";

struct Fixture {
    edge: Edge,
    private: Vec<u8>,
    public: Vec<u8>,
}

fn fixture() -> Fixture {
    let (private, public) = generate_edge().expect("aws-lc makes keys");
    let times = KeyTimes { activate: now(), expire: Some(now() + Duration::HOUR) };
    let edge = Edge::new(vec![EdgeKey::open((1, "k1"), times, &private, &public).expect("a key")]);
    Fixture { edge, private, public }
}

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("in range")
}

fn claims() -> Claims {
    let at = now().unix_timestamp();
    Claims {
        iss: ISSUER.to_owned(),
        aud: ISSUER.to_owned(),
        exp: at + 300,
        iat: at,
        jti: "j".to_owned(),
        sub: "s".to_owned(),
        client_id: "workos-cli".to_owned(),
        scope: "*".to_owned(),
        sid: "d".to_owned(),
        org: None,
        roles: vec![],
        auth_time: at,
        amr: vec!["pwd".to_owned()],
        acr: "1".to_owned(),
        generation: 0,
        act: None,
        key: 1,
    }
}

/// A token over any header and claims, signed with our key.
fn forge(fixture: &Fixture, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let key = EncodingKey::from_ec_der(&fixture.private);
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::ES256).expect("signed");
    format!("{signed}.{signature}")
}

fn header() -> Value {
    json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1"})
}

#[test]
fn a_token_of_ours_reads_back() {
    let fixture = fixture();
    let token = fixture.edge.sign(&claims()).expect("signed");
    assert_eq!(fixture.edge.read(&token, ISSUER, now()), Some(claims()));
    let forged = forge(&fixture, &header(), &json!(claims()));
    assert_eq!(fixture.edge.read(&forged, ISSUER, now()), Some(claims()));
    assert_eq!(fixture.edge.read(&token, "http://127.0.0.1:8081", now()), None);
}

#[test]
fn auth_j01_to_j06_other_algorithms_types_and_keys_are_refused() {
    let fixture = fixture();
    let good = fixture.edge.sign(&claims()).expect("signed");
    let (signed, _) = good.rsplit_once('.').expect("three parts");
    assert_eq!(fixture.edge.read(&format!("{signed}."), ISSUER, now()), None);
    let with = |key: &str, value: Value| {
        let mut header = header();
        header[key] = value;
        forge(&fixture, &header, &json!(claims()))
    };
    for (key, value) in [
        ("alg", json!("none")),
        ("alg", json!("nOnE")),
        ("alg", json!("HS256")),
        ("alg", json!("ES384")),
        ("alg", json!("EdDSA")),
        ("typ", json!("JWT")),
        ("typ", json!("AT+JWT")),
        ("typ", Value::Null),
        ("kid", json!("k2")),
        ("kid", json!("../k1")),
        ("kid", Value::Null),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/keys")),
        ("jwk", json!({"kty": "EC", "crv": "P-256", "x": "a", "y": "b"})),
        ("crit", json!(["b64"])),
    ] {
        assert_eq!(fixture.edge.read(&with(key, value.clone()), ISSUER, now()), None, "{key} {value}");
    }
    let hmac = EncodingKey::from_secret(&fixture.public);
    let mut confused = Header::new(Algorithm::HS256);
    (confused.typ, confused.kid) = (Some(TYPE.to_owned()), Some("k1".to_owned()));
    let token = encode(&confused, &claims(), &hmac).expect("signed");
    assert_eq!(fixture.edge.read(&token, ISSUER, now()), None);
}

#[test]
fn auth_j07_j08_audience_claims_and_times_are_exact() {
    let fixture = fixture();
    let with = |key: &str, value: Value| {
        let mut claims = json!(claims());
        claims[key] = value;
        fixture.edge.read(&forge(&fixture, &header(), &claims), ISSUER, now())
    };
    let at = now().unix_timestamp();
    assert!(with("exp", json!(at - 4)).is_some());
    assert!(with("exp", json!(at - 6)).is_none());
    assert!(with("iat", json!(at + 6)).is_none());
    for (key, value) in [
        ("aud", json!("http://other")),
        ("aud", Value::Null),
        ("iss", json!("http://127.0.0.1:8080/")),
        ("exp", json!("1900000000")),
        ("exp", json!(1.9e9)),
        ("sub", json!(7)),
        ("sid", Value::Null),
        ("admin", json!(true)),
    ] {
        assert_eq!(with(key, value.clone()), None, "{key} {value}");
    }
}

#[test]
fn auth_h03_garbage_is_refused_without_panic() {
    let fixture = fixture();
    for token in ["", ".", "..", "a.b.c", "\0", &"a".repeat(1 << 20), "eyJhbGciOiJFUzI1NiJ9..", "é.é.é"] {
        assert_eq!(fixture.edge.read(token, ISSUER, now()), None);
    }
}

#[test]
fn auth_j09_an_announced_key_is_refused_a_retiring_one_taken_and_a_gone_one_refused() {
    let fixture = fixture();
    let at = |moment: OffsetDateTime| {
        let issued = moment.unix_timestamp();
        let token = forge(&fixture, &header(), &json!(Claims { iat: issued, exp: issued + 300, ..claims() }));
        fixture.edge.read(&token, ISSUER, moment).is_some()
    };
    assert!(!at(now() - Duration::seconds(6)), "announced");
    assert!(at(now()) && at(now() + Duration::minutes(59)), "active or retiring");
    assert!(!at(now() + Duration::HOUR), "gone");
}

#[test]
fn auth_j10_the_youngest_key_that_may_sign_signs_and_its_predecessor_still_reads() {
    let (first, second) = (generate_edge().expect("made"), generate_edge().expect("made"));
    let turn = now() + Duration::minutes(10);
    let before = KeyTimes { activate: now() - Duration::DAY, expire: Some(turn + Duration::HOUR) };
    let edge = Edge::new(vec![
        EdgeKey::open((1, "old"), before, &first.0, &first.1).expect("a key"),
        EdgeKey::open((2, "new"), KeyTimes { activate: turn, expire: None }, &second.0, &second.1).expect("a key"),
    ]);
    let signed = |moment: OffsetDateTime| {
        let issued = moment.unix_timestamp();
        let token = edge.sign(&Claims { iat: issued, exp: issued + 300, ..claims() }).expect("signed");
        let kid = decode_header(&token).expect("a header").kid.expect("a kid");
        assert!(
            edge.read(&token, ISSUER, moment).is_some()
                && edge.read(&token, ISSUER, moment + Duration::minutes(5)).is_some()
        );
        kid
    };
    assert_eq!(
        (signed(now()), signed(turn - Duration::minutes(1)), signed(turn)),
        ("old".into(), "old".into(), "new".into())
    );
}

/// What the platform gave its first owner in version 0.1, and the key that stood in its key set.
const RELEASED: [&str; 2] = [
    "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIsImtpZCI6Il9Yc2ZpT0ZncFhQWmhtV1pnNXhLbncifQ.eyJpc3MiOiJodHRwOi8vbG9jYWxob3N0OjUzMjcxIiwiYXVkIjoiaHR0cDovL2xvY2FsaG9zdDo1MzI3MSIsImV4cCI6MTc5NTY4NTUxOSwiaWF0IjoxNzk1Njg1MjE5LCJqdGkiOiIwMW04Ymp2emd5ZW4ycnpkd3IxZHFmZzJ4diIsInN1YiI6IjAxbThianZ6NXRlM2c4bXNkazZ0NXhyZzRqIiwiY2xpZW50X2lkIjoid29ya29zLWNsaSIsInNjb3BlIjoiKiIsInNpZCI6IjAxbThianZ6Z2hleGF2NXlmc3B6ZzY5ejgxIiwib3JnIjoiMDFtOGJqdno1cmV6Mzg3MGpyZHBjeTlnMTkiLCJyb2xlcyI6WyJvd25lciJdLCJhdXRoX3RpbWUiOjE3OTU2ODUyMTksImFtciI6WyJwd2QiXSwiYWNyIjoiMSIsImdlbiI6MH0.C2GLY8SpQm3hC4Ife6a_pP_F74q_V3lIPgeTFWMtzwIwMO2f7VkN5VvKG1sfYRV-TEarcei3SLDZBwigixRKSA",
    "BLG3Ea8N6NKRYToekT_MEI4ChNy30dDkg8QwRaKyv3sG2SUzRU_HrM33VkI8JouzPk4Z0G45FgLI_5IpPSJVO8o",
];

#[test]
fn auth_b10_an_access_token_of_version_0_1_is_read() {
    let public = URL_SAFE_NO_PAD.decode(RELEASED[1]).expect("base64");
    let issued = OffsetDateTime::from_unix_timestamp(1795685219).expect("in range");
    let times = KeyTimes { activate: issued, expire: None };
    let edge = Edge::new(vec![
        EdgeKey::open((1, "_XsfiOFgpXPZhmWZg5xKnw"), times, &fixture().private, &public).expect("a key"),
    ]);
    let issuer = "http://localhost:53271";
    let read = edge.read(RELEASED[0], issuer, issued + Duration::MINUTE).expect("it was good then");
    assert_eq!((read.sub.as_str(), read.client_id.as_str()), ("01m8bjvz5te3g8msdk6t5xrg4j", "workos-cli"));
    assert_eq!((read.scope.as_str(), read.sid.as_str()), ("*", "01m8bjvzghexav5yfspzg69z81"));
    assert_eq!((read.org.as_deref(), read.roles), (Some("01m8bjvz5rez3870jrdpcy9g19"), vec!["owner".to_owned()]));
    assert_eq!((read.auth_time, read.amr, read.acr.as_str()), (1795685219, vec!["pwd".to_owned()], "1"));
    assert_eq!((read.generation, read.act), (0, None));
    assert!(edge.read(RELEASED[0], issuer, issued + Duration::HOUR).is_none(), "and no longer than that");
}
