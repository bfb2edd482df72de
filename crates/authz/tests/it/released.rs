//! Tokens as each version minted them verify (auth.md, B10): while a release is rolled out, services of both versions hear tokens of both.
//!
//! The files are those of the first version and stay as they are. A version that mints otherwise adds a folder; none is taken away while
//! a release whose tokens it holds may still run beside this one.
use std::time::Duration;

use api::{CallContext, Caller, Clock, Code, Error, Id, OrganizationId, UserId};
use authz::{Keys, Mint, Revocations, Verifier};
use bytes::Bytes;
use mesh::{Authorizer, Incoming, Peer};
use proto::Role;

use crate::support::{EVENTS, GET, GET_USER, LIFE, SEARCH, UPDATE, method};

/// The key that signed them, with its id.
const KEY: ([u8; 32], u32) = ([7; 32], 1);
/// When: 1 January 2100. Clocks of tests are only set forward.
const MINTED: i64 = 4_102_444_800;
const GET_ORGANIZATION: &str = "auth.v1.OrganizationService/GetOrganization";

/// A verifier of that key at that time.
struct Then {
    clock: Clock,
    keys: Keys,
}

impl Then {
    fn new() -> Then {
        let clock = Clock::default();
        let ahead = MINTED + 1 - clock.now().unix_timestamp();
        clock.advance(Duration::from_secs(ahead.try_into().expect("it is not 2100 yet")));
        let mint = Mint::new(&KEY.0, KEY.1, clock.clone()).expect("32 bytes are a key");
        Then { clock, keys: Keys::new(vec![mint.verify_key()]) }
    }

    fn call(&self, token: &[u8], (service, peer, rpc): (&str, &str, &str), resource: &str) -> Result<Caller, Error> {
        let revocations = Revocations::new(self.clock.clone());
        revocations.replace(0, Vec::new());
        let verifier = Verifier::new(service, self.keys.clone(), revocations, self.clock.clone());
        let context = CallContext { method: rpc.to_owned(), ..CallContext::default() };
        let (token, peer) = (Bytes::copy_from_slice(token), Peer::named(peer));
        let resource = (!resource.is_empty()).then_some(resource);
        verifier.authorize(Incoming { method: method(rpc), token: Some(&token), peer: &peer, resource, context })
    }
}

/// A token as version 0.1 minted or narrowed it.
fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/0.1/{name}.biscuit", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn id(name: &str) -> Id {
    Id::derive(Id::ZERO, name.as_bytes())
}

fn organization() -> String {
    OrganizationId(id("organization")).name()
}

fn document() -> String {
    format!("{}/documents/{}", organization(), id("document"))
}

#[test]
fn b10_tokens_of_version_0_1_verify_with_all_that_they_said() {
    let then = Then::new();
    let (organization, document, user) = (organization(), document(), UserId(id("user")));
    let at = ("document", "gateway", GET);
    let session = then.call(&fixture("session"), at, &document).expect("a session's");
    assert_eq!((session.user(), session.role(), session.granted()), (Some(user), Some(Role::Editor), true));
    assert_eq!(session.session(), Some(id("session").to_string().as_str()));
    assert!(session.in_scope("file:read") && session.acting().is_none());
    let key = then.call(&fixture("key"), at, &document).expect("a key's");
    assert!(key.granted() && key.session().is_none() && !key.in_scope("file:read"));
    let update = ("document", "gateway", UPDATE);
    let refused = then.call(&fixture("key"), update, &document).expect_err("out of scope");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let delegated = ("auth", "workflow", GET_ORGANIZATION);
    let delegation = fixture("delegation");
    let delegation = then.call(&delegation[..], delegated, &organization).expect("a delegation's");
    assert_eq!((delegation.acting(), delegation.user()), (Some("workflow"), Some(user)));
    let own = ("auth", "gateway", GET_USER);
    let alone = then.call(&fixture("self"), own, &user.name()).expect("before a choice");
    assert_eq!(alone.user(), Some(user));
    assert!(alone.organization().is_err(), "no organization was chosen");
}

#[test]
fn b10_narrowed_tokens_of_version_0_1_are_good_for_what_they_were_narrowed_to_and_end_with_their_time() {
    let then = Then::new();
    let (organization, document) = (organization(), document());
    let other = format!("{organization}/documents/{}", id("other"));
    let at = ("document", "gateway", GET);
    let gateway = fixture("gateway");
    assert!(then.call(&gateway[..], at, &document).expect("the gateway's").granted());
    assert!(then.call(&gateway[..], at, &other).expect("any document").granted());
    assert!(then.call(&gateway[..], ("document", "gateway", UPDATE), &document).is_err(), "one method");
    let narrowed = fixture("document");
    assert!(then.call(&narrowed[..], at, &document).expect("the document's").granted());
    assert!(then.call(&narrowed[..], at, &other).is_err(), "one document");
    let search = fixture("search");
    assert!(then.call(&search[..], ("search", "gateway", SEARCH), &organization).expect("the search's").granted());
    assert!(then.call(&search[..], at, &document).is_err(), "not what it does not call");
    assert!(then.call(&search[..], ("document", "gateway", EVENTS), "").is_err(), "nor what stands everywhere");
    then.clock.advance(LIFE);
    for (token, at, resource) in [
        (&gateway[..], at, &document),
        (&narrowed[..], at, &document),
        (&search[..], ("search", "gateway", SEARCH), &organization),
    ] {
        let refused = then.call(token, at, resource).expect_err("its time is over");
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
}
