//! Consistency tokens: an answer at a token knows of the write that gave it, whoever made it.
use std::sync::OnceLock;

use api::{CallContext, Id, Ids, OrganizationId};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::{BootError, Kit, Mount, ServiceSpec};
use futures::future::BoxFuture;
use prost::Message;
use proto::{
    api::v1::{ConsistencyToken, Relations, consistency_token::Position, relations::Holder},
    auth::v1::{self as wire, membership::Role, relation::Kind},
    document::v1::DocumentGrantsChanged,
};
use tonic::Code;

use crate::{
    assert_refused, platform, platform_on,
    relation::{authorization, delete, object, question, relation, updates, write},
};

const ROUNDS: usize = 1000;
const TABLE: &[(&str, &str)] = &[("0001_nothing.sql", "select 1;")];
/// Stands in for the document service: what it publishes goes through a real outbox.
const DOCUMENT: ServiceSpec =
    ServiceSpec::new("document", boot).migrations(db::Migrations { service: "document", files: TABLE });
/// Its database; one test starts it.
static OUTBOX: OnceLock<db::Db> = OnceLock::new();

fn boot(kit: Kit, _: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async move {
        assert!(OUTBOX.set(kit.db()).is_ok(), "one test starts it");
        Ok(())
    })
}

async fn publish(organization: OrganizationId, event: &impl proto::Event, (aggregate, version): (Id, i64)) {
    let context = CallContext::background("test", &Ids::default());
    let tx = OUTBOX.get().expect("it has started").tenant_as(organization, &context).await.expect("it is there");
    tx.publish(event, aggregate, version).expect("an event");
    tx.commit().await.expect("it is there");
}

#[tokio::test]
async fn auth_t09_an_answer_at_a_token_is_never_from_before_the_write() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, bobs) = platform.signed_user(&owner, "bob", Role::Unspecified).await;
    let (mut writer, mut reader) = (authorization(&platform, &owner).await, authorization(&platform, &bobs).await);
    let folder = object(&platform, "folder", "f");
    for round in 0..ROUNDS {
        // Bob is taken off the folder, then something is put below it that he must not see, or the other way round.
        let page = object(&platform, "page", &format!("p{round}"));
        let sees = round % 2 == 1;
        let share = relation(&folder, Kind::Viewer, &bob.name);
        let changed = updates(&platform, vec![if sees { write(share) } else { delete(share) }]);
        writer.write_relations(changed).await.expect("the owner may");
        let below = updates(&platform, vec![write(relation(&page, Kind::Parent, &folder))]);
        let token = writer.write_relations(below).await.expect("the owner may").into_inner().consistency_token;
        let asked = wire::CheckRequest { at_least: token, ..question(&platform, "", "object:read", &page) };
        let answer = reader.check(asked).await.expect("about himself").into_inner();
        assert_eq!(answer.allowed, sees, "round {round}");
        let again =
            wire::CheckRequest { at_least: answer.consistency_token, ..question(&platform, "", "object:read", &page) };
        assert_eq!(reader.check(again).await.expect("about himself").into_inner().allowed, sees, "round {round}");
    }
}

#[tokio::test]
async fn auth_t09_a_token_of_a_change_that_was_never_made_is_refused_and_one_that_was_made_is_not() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let mut client = authorization(&platform, &owner).await;
    let plans = object(&platform, "board", "plans");
    let change = updates(&platform, vec![write(relation(&plans, Kind::Viewer, &platform.owner))]);
    let token = client.write_relations(change.clone()).await.expect("the owner may").into_inner().consistency_token;
    let made = |token: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(token).expect("base64");
        ConsistencyToken::decode(bytes.as_slice()).expect("a token")
    };
    let first = made(&token);
    let asked = |at_least: String| wire::CheckRequest { at_least, ..question(&platform, "", "object:read", &plans) };
    let answer = client.check(asked(token)).await.expect("it was made").into_inner();
    assert_eq!(made(&answer.consistency_token), first, "the answer names the state it is from");
    let later = ConsistencyToken { revision: first.revision + 1, ..first };
    let later = URL_SAFE_NO_PAD.encode(later.encode_to_vec());
    let refused = client.check(asked(later.clone())).await;
    assert_refused(refused, Code::InvalidArgument, "CONSISTENCY_TOKEN_INVALID");
    client.write_relations(change).await.expect("the owner may");
    client.check(asked(later)).await.expect("now it was made");
}

#[tokio::test]
async fn what_a_service_says_of_its_resources_arrives_in_order_and_is_waited_for() {
    let platform = platform_on(testkit::System::start(&[&auth::SERVICE, &DOCUMENT]).await).await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Unspecified).await;
    let organization = OrganizationId::parse(&platform.organization).expect("a name");
    let id = Ids::default().next();
    let document = format!("{}/documents/{id}", platform.organization);
    let token = |version: i64| {
        let position = Position { name: document.clone(), version };
        let organization = organization.to_string();
        URL_SAFE_NO_PAD
            .encode(ConsistencyToken { organization, revision: 0, positions: vec![position] }.encode_to_vec())
    };
    let told = |shared: bool| {
        let holder = Holder { subject: bob.name.clone(), share: proto::Share::Reader.into(), expire_time: None };
        let relations = Relations { holders: if shared { vec![holder] } else { Vec::new() }, parents: Vec::new() };
        DocumentGrantsChanged { name: document.clone(), relations: Some(relations), ..Default::default() }
    };
    let mut client = authorization(&platform, &owner).await;
    let asked = |version: i64| wire::CheckRequest {
        at_least: token(version),
        ..question(&platform, &bob.name, "document:read", &document)
    };
    assert_refused(client.check(asked(1)).await, Code::Unavailable, "CONSISTENCY_AWAITED");
    for (version, shared) in [(1, true), (3, false), (2, true), (3, false)] {
        publish(organization, &told(shared), (id, version)).await;
    }
    let answer =
        testkit::eventually("version 3 has arrived", || async { client.clone().check(asked(3)).await.ok() }).await;
    assert!(!answer.into_inner().allowed, "what came late does not undo what is newer");
    publish(organization, &told(true), (id, 4)).await;
    let answer =
        testkit::eventually("version 4 has arrived", || async { client.clone().check(asked(4)).await.ok() }).await;
    assert!(answer.into_inner().allowed);
    let malformed = wire::CheckRequest { at_least: "!".to_owned(), ..asked(1) };
    assert_refused(client.check(malformed).await, Code::InvalidArgument, "CONSISTENCY_TOKEN_INVALID");
}
