//! From events to the index: order, loss, crashes, rebuild, rejection.
use proto::{
    document::v1::{DocumentUndeleted, DocumentUpdated},
    file::v1::{FileDeleted, FileReferencesChanged},
};
use testkit::Engine;

use crate::fixture::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn changes_deletions_and_undeletions_are_followed() {
    let fixture = Fixture::new().await;
    let name = fixture.create(fixture.document("draft", "")).await;
    fixture.until_found("draft", 1).await;
    fixture.update(&name, |entry| entry.title = "final".to_owned()).await;
    fixture.until_found("final", 1).await;
    assert!(fixture.found("draft").await.is_empty());
    fixture.delete(&name).await;
    fixture.until_found("final", 0).await;
    // The owner hides it at once, the index forgets it soon.
    testkit::eventually("the index knows", || async { (fixture.index().await.entry_count == 0).then_some(()) }).await;
    let version = fixture.documents.change(&name, |entry| entry.deleted = false);
    fixture.documents.publish(&DocumentUndeleted { name: name.clone() }, version).await;
    fixture.until_found("final", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_found_by_whom_its_documents_are_shared_with() {
    let fixture = Fixture::new().await;
    let name = fixture.create_file("scan.png").await;
    fixture.until_found("scan", 1).await;
    let member = fixture.organization.member();
    assert!(fixture.search(&member, "scan").await.results.is_empty());
    let version = fixture.files.change(&name, |entry| entry.principals.push(member.name()));
    fixture.files.publish(&FileReferencesChanged { name: name.clone() }, version).await;
    testkit::eventually("the member finds it", || async {
        (fixture.search(&member, "scan").await.results.len() == 1).then_some(())
    })
    .await;
    let version = fixture.files.change(&name, |entry| entry.deleted = true);
    fixture.files.publish(&FileDeleted { name }, version).await;
    fixture.until_found("scan", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_changes_of_one_document_cost_few_reads() {
    let fixture = Fixture::of(Fixture::builder().through_proxies()).await;
    let name = fixture.create(fixture.document("counter", "")).await;
    fixture.until_found("counter", 1).await;
    fixture.system.engine(Engine::Nats).cut();
    for number in 0..40 {
        fixture.update(&name, |entry| entry.body = format!("state{number}")).await;
    }
    let before = fixture.documents.reads();
    fixture.system.engine(Engine::Nats).mend();
    fixture.until_found("state39", 1).await;
    testkit::eventually("nothing waits", || async { (fixture.index().await.pending_count == 0).then_some(()) }).await;
    assert!(fixture.documents.reads() - before < 20, "{} reads", fixture.documents.reads() - before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_owner_cannot_answer_now_is_indexed_when_it_is_back() {
    let fixture = Fixture::new().await;
    fixture.documents.away(true);
    fixture.create(fixture.document("patience", "")).await;
    fixture.create_file("impatience.png").await;
    // The other owner's resources do not wait for it.
    fixture.until_found("impatience", 1).await;
    testkit::eventually("it waits", || async { (fixture.index().await.pending_count >= 1).then_some(()) }).await;
    fixture.documents.away(false);
    fixture.until_found("patience", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_cannot_be_indexed_is_counted_and_holds_up_nobody() {
    let fixture = Fixture::new().await;
    let name = fixture.create(fixture.document("huge", &"x".repeat(300 << 10))).await;
    fixture.create(fixture.document("small", "")).await;
    fixture.until_found("small", 1).await;
    testkit::eventually("it is counted", || async { (fixture.index().await.rejected_count == 1).then_some(()) }).await;
    assert!(fixture.found("huge").await.is_empty());
    fixture.update(&name, |entry| entry.body = "fits".to_owned()).await;
    fixture.until_found("huge", 1).await;
    testkit::eventually("it is forgiven", || async { (fixture.index().await.rejected_count == 0).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_nothing_that_was_written() {
    let mut fixture = Fixture::new().await;
    for number in 0..20 {
        fixture.create(fixture.document(&format!("survivor {number}"), "")).await;
    }
    fixture.system.crash().await;
    fixture.until_found("survivor", 20).await;
    assert_eq!(fixture.index().await.entry_count, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_index_is_built_again_from_the_owners() {
    let mut fixture = Fixture::new().await;
    let mut names = Vec::new();
    for number in 0..30 {
        names.push(fixture.create(fixture.document(&format!("phoenix {number}"), "")).await);
    }
    fixture.create_file("phoenix.png").await;
    fixture.delete(&names[0]).await;
    testkit::eventually("all is indexed", || async {
        let index = fixture.index().await;
        (index.entry_count == 30 && index.pending_count == 0).then_some(())
    })
    .await;
    let folder = fixture.system.data_dir().join("search/generation-1");
    std::fs::remove_dir_all(&folder).expect("the index has its folder");
    fixture.system.crash().await;
    testkit::eventually("all is built again", || async {
        let index = fixture.index().await;
        (index.entry_count == 30 && index.pending_count == 0).then_some(())
    })
    .await;
    let answer = testkit::eventually("it is complete", || async {
        let answer = fixture.search(&fixture.viewer, "phoenix").await;
        (!answer.degraded).then_some(answer)
    })
    .await;
    assert_eq!(answer.total.map(|total| total.value), Some(30));
    assert!(!folder.exists() && folder.with_file_name("generation-2").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_late_brings_nothing_back() {
    let fixture = Fixture::new().await;
    let name = fixture.create(fixture.document("ghost", "")).await;
    fixture.until_found("ghost", 1).await;
    fixture.delete(&name).await;
    fixture.until_found("ghost", 0).await;
    // Told again, as a redrive does.
    fixture.documents.publish(&DocumentUpdated { name, ..Default::default() }, 1).await;
    fixture.create(fixture.document("marker", "")).await;
    fixture.until_found("marker", 1).await;
    assert!(fixture.found("ghost").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nothing_is_pending_everything_written_before_is_found() {
    let fixture = Fixture::new().await;
    for round in 1..=5 {
        for number in 0..20 {
            fixture.create(fixture.document(&format!("settled {round} {number}"), "")).await;
        }
        testkit::eventually("nothing is pending", || async {
            let pending = fixture.index().await.pending_count;
            if pending == 0 { Ok(()) } else { Err(pending) }
        })
        .await;
        let found = fixture.search(&fixture.viewer, "settled").await;
        assert_eq!(found.total.map(|total| total.value), Some(20 * round));
    }
}
