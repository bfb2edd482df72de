//! What is left of an organization that is gone for good.
use proto::workflow::v1::{CancelRunRequest, document_approval::Rule, run::State};
use testkit::eventually_within;

use crate::{
    engine,
    fixture::{Fixture, PATIENCE, read},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_organization_leaves_no_run_in_the_table_and_none_goes_on_in_the_engine() {
    let mut fixture = Fixture::new().await;
    let canceled = fixture.start(fixture.approval(Rule::Any)).await;
    let request = CancelRunRequest { name: canceled.name.clone(), request_id: String::new() };
    read(fixture.runs(&fixture.editor).cancel_run(request).await).expect("he started it");
    assert_eq!(fixture.ended(&canceled.name).await.state(), State::Canceled);
    let open = fixture.start(fixture.approval(Rule::All)).await;
    fixture.task(&fixture.bob, &open.name).await;
    let client = engine::connect(&fixture).await;
    assert!(engine::is_open(&client, &open.name).await);
    let id = api::OrganizationId::parse(&fixture.organization).expect("a name").uuid();
    let over = format!(
        "update auth.organizations set state = 3, purge_time = now() - interval '1 minute' where organization_id = '{id}'"
    );
    fixture.system.sql(&over).await;
    // The first look for what is to be purged comes with the start.
    fixture.system.restart().await;
    eventually_within(PATIENCE, "its runs are gone", || async {
        (fixture.count("workflow.runs").await + fixture.count("workflow.tasks").await == 0).then_some(())
    })
    .await;
    assert!(!engine::is_open(&client, &open.name).await);
    assert_eq!(fixture.versions("run.ended").await.len(), 1, "nobody is told of what nobody can see");
}
