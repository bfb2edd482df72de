//! One `.workos` folder: who may use it, what is refused, what lies in it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use engines::{Addresses, Engine, EngineError, Engines, Settings, Step};

use crate::harness::{Folder, port};
use crate::talk::sql;

fn no_error(engines: &Result<Engines, EngineError>) -> String {
    engines.as_ref().err().map_or_else(|| "it started".to_owned(), ToString::to_string)
}

#[tokio::test]
async fn one_folder_runs_once_on_the_next_free_ports_and_publishes_them_to_its_owner_alone() {
    let folder = Folder::new();
    let settings = folder.settings();
    let taken = TcpListener::bind(("127.0.0.1", settings.ports.postgres)).expect("a free port was chosen");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&seen);
    let tell = move |progress| heard.lock().expect("no panic holds it").push(progress);
    let engines = Engines::start(settings.clone(), tell).await.expect("engines start");

    let addresses = engines.addresses();
    assert!(port(&addresses.postgres) > settings.ports.postgres, "the taken port was left to its owner");
    assert!(port(&addresses.redis) >= settings.ports.redis);
    let ready = seen
        .lock()
        .expect("no panic holds it")
        .iter()
        .filter(|step: &&engines::Progress| matches!(step.step, Step::Ready { .. }))
        .count();
    assert_eq!(ready, 4);

    let file = folder.path().join("run/ports.json");
    let mode = fs::metadata(&file).expect("it is published").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let running = Addresses::of_running(folder.path()).expect("it runs");
    assert_eq!(running.postgres, addresses.postgres);

    let second = Engines::start(settings, |_| {}).await;
    let own = std::process::id().to_string();
    assert!(matches!(&second, Err(EngineError::Running { pid, .. }) if *pid == own), "{}", no_error(&second));

    // Durable, whatever the tests of others switch off.
    for (setting, value) in
        [("fsync", "on"), ("data_checksums", "on"), ("server_encoding", "UTF8"), ("synchronous_commit", "on")]
    {
        assert_eq!(sql(&addresses.postgres, &format!("show {setting}")).as_deref(), Ok(value), "{setting}");
    }
    let wrong = addresses.postgres.replacen("postgres:", "postgres:wrong", 2);
    assert!(sql(&wrong, "select 1").is_err(), "loopback is not enough: the password counts");

    engines.stop().await;
    assert!(Addresses::of_running(folder.path()).is_none());
    assert!(!file.exists());
    drop(taken);
}

#[tokio::test]
async fn data_of_another_major_version_and_data_without_their_passwords_are_refused_with_the_remedy() {
    let folder = Folder::new();
    let data = folder.path().join("data");
    fs::create_dir_all(data.join("postgres")).expect("it is ours");
    let lost = Engines::start(folder.settings(), |_| {}).await;
    assert!(matches!(lost, Err(EngineError::SecretsLost { .. })), "{}", no_error(&lost));

    fs::write(data.join("secrets.json"), r#"{"postgres":"a","valkey":"b","nats":"c"}"#).expect("it is ours");
    fs::write(data.join("postgres/PG_VERSION"), "17\n").expect("it is ours");
    let old = Engines::start(folder.settings(), |_| {}).await;
    let text = no_error(&old);
    assert!(
        matches!(&old, Err(EngineError::OtherVersion { engine: Engine::Postgres, found, .. }) if found == "17"),
        "{text}"
    );
    assert!(text.contains("./dev reset"), "{text}");
    assert_eq!(old.err().map(|error| error.exit_code()), Some(78));
}

#[tokio::test]
async fn a_program_that_is_not_there_or_not_an_engine_fails_with_its_own_words() {
    let folder = Folder::new();
    let mut settings = folder.settings();
    settings.programs.insert("valkey".to_owned(), "/nowhere/valkey-server".into());
    let error = no_error(&Engines::start(settings.clone(), |_| {}).await);
    assert!(error.contains("/nowhere/valkey-server"), "{error}");

    // cargo has a version and is no engine: it ends, and its complaint is part of the error.
    settings.programs.insert("valkey".to_owned(), env!("CARGO").into());
    let died = Engines::start(settings, |_| {}).await;
    let text = no_error(&died);
    assert!(matches!(died, Err(EngineError::Died { engine: Engine::Valkey, .. })), "{text}");
    assert!(text.contains("valkey.log") && text.contains("run/valkey.conf"), "{text}");
}

#[tokio::test]
async fn as_root_a_folder_that_the_account_cannot_reach_keeps_its_postgres_in_a_shelter() {
    if !nix::unistd::Uid::effective().is_root() {
        return; // a normal user keeps its own account, and no folder of its own is out of reach
    }
    let folder = Folder::new();
    let outer = folder.path().parent().expect("it was joined");
    fs::set_permissions(outer, fs::Permissions::from_mode(0o700)).expect("it is ours");
    let elsewhere = Some("elsewhere.invalid".to_owned());
    let settings = Settings {
        redis_url: elsewhere.clone(),
        nats_url: elsewhere.clone(),
        temporal_url: elsewhere,
        ..folder.settings()
    };
    let engines = Engines::start(settings, |_| {}).await.expect("postgres starts");
    let place = sql(&engines.addresses().postgres, "show data_directory").expect("it answers");
    engines.stop().await;
    assert!(place.starts_with("/var/tmp/workos-"), "{place}");
    let shelter = std::path::Path::new(&place).ancestors().nth(2).expect("<shelter>/data/postgres");
    fs::remove_dir_all(shelter).expect("it is ours");
}
