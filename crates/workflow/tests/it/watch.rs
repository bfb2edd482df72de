//! Watching runs.
use proto::workflow::v1::{
    WatchRunRequest,
    document_approval::Rule,
    run::{Outcome, State},
    task::Decision,
};

use crate::fixture::{Fixture, read};

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_gives_the_run_after_each_change_and_ends_with_it() {
    let fixture = Fixture::new().await;
    let run = fixture.start(fixture.approval(Rule::Any)).await;
    let task = fixture.task(&fixture.bob, &run.name).await;
    let request = WatchRunRequest { name: run.name.clone() };
    // An assignee may watch as well.
    let mut watched = read(fixture.runs(&fixture.bob).watch_run(request.clone()).await).expect("he has a task of it");
    let first = watched.message().await.expect("it goes on").expect("the state now");
    assert_eq!(first.state(), State::Running);
    fixture.decide(&fixture.bob, &task, Decision::Approve).await.expect("it is his");
    let last = watched.message().await.expect("it goes on").expect("the end");
    assert_eq!((last.state(), last.outcome()), (State::Completed, Outcome::Approved));
    assert_ne!(first.etag, last.etag);
    assert!(watched.message().await.expect("a good end").is_none());
    let mut closed = read(fixture.runs(&fixture.editor).watch_run(request).await).expect("he reads everything");
    assert_eq!(closed.message().await.expect("one state").expect("the last").etag, last.etag);
    assert!(closed.message().await.expect("a good end").is_none());
}
