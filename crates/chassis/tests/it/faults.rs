//! Engines that go away, and come back.
use chassis::Engine;
use proto::events::v1::{GetRelayStatusRequest, event_admin_service_client::EventAdminServiceClient};
use testkit::{System, eventually};

use crate::{admin::page, service::DOCUMENT};

async fn relay_status(system: &System) -> Result<(), tonic::Status> {
    let mut client = EventAdminServiceClient::new(system.operator().channel("document"));
    client.get_relay_status(GetRelayStatusRequest {}).await.map(drop)
}

async fn note_about(system: &System, name: &str) -> String {
    let look = || async {
        let notes = system.host().readiness().state().notes;
        notes.get(name).cloned().ok_or(notes)
    };
    eventually(&format!("a note about {name}"), look).await
}

async fn no_notes(system: &System) {
    let look = || async {
        let notes = system.host().readiness().state().notes;
        if notes.is_empty() { Ok(()) } else { Err(notes) }
    };
    eventually("no notes are left", look).await;
}

#[tokio::test]
async fn without_postgres_the_process_is_unready_and_calls_are_unavailable_until_it_is_back() {
    let system = System::builder(&[&DOCUMENT]).through_proxies().start().await;
    let ask = async || page(&system, http::Method::GET, "/ask", "").await.1;
    assert_eq!(ask().await, "Ok");
    system.engine(Engine::Postgres).cut();
    let lost = || async { system.host().readiness().state().awaited.get("document/postgres").cloned() };
    eventually("postgres is awaited", lost).await;
    assert_eq!(ask().await, "Unavailable retry=true");
    system.engine(Engine::Postgres).mend();
    eventually("it is ready again", || async { system.host().readiness().state().is_ready().then_some(()) }).await;
    assert_eq!(ask().await, "Ok");
}

#[tokio::test]
async fn without_nats_and_redis_the_process_stays_ready_and_says_what_is_away() {
    let system = System::builder(&[&DOCUMENT]).through_proxies().start().await;
    system.engine(Engine::Nats).cut();
    system.engine(Engine::Redis).cut();
    assert!(note_about(&system, "document/events").await.contains("away"));
    assert!(note_about(&system, "document/redis").await.contains("local"));
    assert!(system.host().readiness().state().is_ready());
    relay_status(&system).await.expect("writers only need the outbox");
    system.engine(Engine::Nats).mend();
    system.engine(Engine::Redis).mend();
    no_notes(&system).await;
}

#[tokio::test]
async fn a_service_comes_up_while_nats_and_redis_are_away_and_heals() {
    let system = System::builder(&[&DOCUMENT]).without(Engine::Nats).without(Engine::Redis).start().await;
    assert!(system.host().readiness().state().is_ready());
    note_about(&system, "document/events").await;
    system.engine(Engine::Nats).mend();
    system.engine(Engine::Redis).mend();
    no_notes(&system).await;
}

#[tokio::test]
async fn a_restart_and_a_crash_leave_a_system_that_answers() {
    let mut system = System::start(&[&DOCUMENT]).await;
    system.restart().await;
    relay_status(&system).await.expect("it answers after a restart");
    system.crash().await;
    relay_status(&system).await.expect("it answers after a crash");
    system.stop().await;
}
