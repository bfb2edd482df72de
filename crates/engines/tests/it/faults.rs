//! Engines and parents killed with SIGKILL.

use std::time::Duration;

use engines::{Engine, EngineError, Engines, Settings};

use crate::harness::{Folder, Holder, engine_in, eventually, kill_hard, parent, port, processes_in};
use crate::talk::{nats, redis, sql};

#[tokio::test]
async fn after_a_kill_of_the_parent_no_engine_is_left_within_five_seconds_and_the_next_start_finds_all_data() {
    let folder = Folder::new();
    let holder = Holder::start(&folder);
    let addresses = holder.addresses.clone();
    sql(&addresses.postgres, "create table kept (word text); insert into kept values ('acknowledged')")
        .expect("a fresh cluster");
    assert_eq!(redis(&addresses.redis, "SET kept acknowledged").await.as_deref(), Ok("+OK"));
    let (user, password) = addresses.nats_users.iter().next().expect("up has one user by default");
    let stream = r#"{"name":"KEPT","subjects":["kept"],"storage":"file","num_replicas":1}"#;
    let made = nats(&addresses, user, password, "$JS.API.STREAM.CREATE.KEPT", stream).await.expect("JetStream is up");
    assert!(!made.contains("\"error\""), "{made}");
    let stored = nats(&addresses, user, password, "kept", "acknowledged").await.expect("the stream takes it");
    assert!(stored.contains("\"seq\":1"), "{stored}");
    assert!(processes_in(folder.path()).len() >= 4);

    holder.kill();
    eventually("the end of all engines", Duration::from_secs(5), || async {
        let left = processes_in(folder.path());
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;

    let again = Holder::start(&folder);
    assert_eq!(sql(&again.addresses.postgres, "select word from kept").as_deref(), Ok("acknowledged"));
    assert_eq!(redis(&again.addresses.redis, "GET kept").await.as_deref(), Ok("acknowledged"));
    let info = nats(&again.addresses, user, password, "$JS.API.STREAM.INFO.KEPT", "").await.expect("JetStream is up");
    assert!(info.contains("\"messages\":1"), "{info}");

    // At once, while the guards still stop the engines: the next start waits for them and takes the same ports.
    let postgres = again.addresses.postgres.clone();
    again.kill();
    let third = Holder::start(&folder);
    assert_eq!(third.addresses.postgres, postgres);
    assert_eq!(sql(&third.addresses.postgres, "select word from kept").as_deref(), Ok("acknowledged"));
    third.stop();
    assert_eq!(processes_in(folder.path()), Vec::<i32>::new());
    let log = std::fs::read_to_string(folder.path().join("log/postgres.log")).expect("it has a log");
    assert!(log.trim_end().ends_with("database system is shut down"), "not stopped in order: {log}");
}

#[tokio::test]
async fn a_killed_engine_is_reported_and_comes_back_on_its_port() {
    let folder = Folder::new();
    let engines = Engines::start(folder.settings(), |_| {}).await.expect("engines start");
    let mut outages = engines.outages();
    sql(&engines.addresses().postgres, "create table kept (word text); insert into kept values ('here')").expect("SQL");
    for engine in Engine::ALL {
        let pid = engine_in(&folder.path().join("data").join(engine.name())).await;
        kill_hard(pid);
        let limit = Duration::from_secs(30);
        tokio::time::timeout(limit, outages.wait_for(|away| away.contains_key(&engine)))
            .await
            .unwrap_or_else(|_| panic!("the end of {engine} was not reported"))
            .expect("the engines are still watched");
        tokio::time::timeout(limit, outages.wait_for(|away| !away.contains_key(&engine)))
            .await
            .unwrap_or_else(|_| panic!("{engine} did not come back: {:?}", *engines.outages().borrow()))
            .expect("the engines are still watched");
        assert_ne!(engine_in(&folder.path().join("data").join(engine.name())).await, pid);
    }
    assert_eq!(sql(&engines.addresses().postgres, "select word from kept").as_deref(), Ok("here"));
    assert_eq!(redis(&engines.addresses().redis, "PING").await.as_deref(), Ok("+PONG"));
    engines.stop().await;
    assert_eq!(processes_in(folder.path()), Vec::<i32>::new());
}

/// Only Valkey; the others have URLs and are therefore not started.
fn valkey_alone(folder: &Folder) -> Settings {
    let elsewhere = |scheme: &str| Some(format!("{scheme}://elsewhere.invalid:1"));
    Settings {
        postgres_url: elsewhere("postgres"),
        nats_url: elsewhere("nats"),
        temporal_url: elsewhere("http"),
        ..folder.settings()
    }
}

#[tokio::test]
async fn an_engine_whose_guard_is_killed_does_not_survive_it_and_is_restarted() {
    let folder = Folder::new();
    let engines = Engines::start(valkey_alone(&folder), |_| {}).await.expect("valkey starts");
    assert_eq!(engines.addresses().nats, "nats://elsewhere.invalid:1", "a configured engine is used from there");
    let data = folder.path().join("data/valkey");
    let pid = engine_in(&data).await;
    kill_hard(parent(pid).expect("it has a guard"));
    eventually("a new process", Duration::from_secs(20), || async {
        let now = processes_in(&data);
        if now.len() == 1 && now[0] != pid { Ok(()) } else { Err(format!("{now:?}, killed the guard of {pid}")) }
    })
    .await;
    eventually("an answer", Duration::from_secs(20), || redis(&engines.addresses().redis, "PING")).await;
    engines.stop().await;
    assert_eq!(processes_in(folder.path()), Vec::<i32>::new());
}

#[tokio::test]
async fn an_engine_that_ends_five_times_in_a_minute_is_given_up_with_a_reason() {
    let folder = Folder::new();
    let settings = valkey_alone(&folder);
    let first = settings.ports.redis;
    let engines = Engines::start(settings, |_| {}).await.expect("valkey starts");
    assert!(port(&engines.addresses().redis) >= first);
    let data = folder.path().join("data/valkey");
    let failed = engines.failed();
    for _ in 0..5 {
        kill_hard(engine_in(&data).await);
        eventually("the end of it", Duration::from_secs(20), || async {
            let away = engines.outages().borrow().clone();
            if away.contains_key(&Engine::Valkey) { Ok(()) } else { Err("not noticed".to_owned()) }
        })
        .await;
        // Back, or given up; either way the next round finds out.
        let mut outages = engines.outages();
        let given_up = |text: &String| text.contains("not restarted");
        let settled = outages.wait_for(|away| away.get(&Engine::Valkey).is_none_or(given_up));
        tokio::time::timeout(Duration::from_secs(30), settled).await.expect("in time").expect("still watched");
    }
    let error = tokio::time::timeout(Duration::from_secs(20), failed).await.expect("it is given up");
    assert!(matches!(*error, EngineError::Unstable { engine: Engine::Valkey, count: 5, .. }), "{error}");
    assert_eq!(error.exit_code(), 70);
    engines.stop().await;
}
