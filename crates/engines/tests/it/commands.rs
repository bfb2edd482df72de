//! The thin binary: a set around a command, and the set of a test that runs alone.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use engines::Addresses;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{BINARY, Folder, command, eventually, port};
use crate::talk::{nats, redis, sql};

#[test]
fn run_gives_the_command_working_engines_and_returns_its_exit_code() {
    let script = "echo \"$WORKOS_ENGINES\"; echo \"$WORKOS_ENGINES_POSTGRES\"; exit 7";
    let output = command(BINARY).args(["run", "--", "sh", "-c", script]).output().expect("the binary runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(7), "{told}");
    assert_eq!(told.matches(" ready on 127.0.0.1:").count(), 4, "{told}");
    let mut lines = printed.lines();
    let addresses: Addresses = serde_json::from_str(lines.next().expect("a line")).expect("addresses");
    assert_eq!(lines.next(), Some(addresses.postgres.as_str()));
    assert!(sql(&addresses.postgres, "select 1").is_err(), "the set is stopped when run returns");
    let counter = addresses.nats_pool.expect("a set for tests has a pool").counter;
    assert!(!counter.parent().expect("a folder").exists(), "nothing of the set is left");
}

#[test]
fn run_says_what_is_wrong_with_a_command_that_is_not_there() {
    let output = command(BINARY).args(["run", "--", "/nowhere/tests"]).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(70));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/tests"));
}

#[tokio::test]
async fn a_signal_to_run_ends_the_command_and_the_engines() {
    let folder = Folder::new();
    let mark = folder.path().join("addresses");
    let script = "echo \"$WORKOS_ENGINES\" > \"$0.new\"; mv \"$0.new\" \"$0\"; exec sleep 600";
    let mut run = command(BINARY)
        .args(["run", "--", "sh", "-c", script])
        .arg(&mark)
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let text = eventually("the command", Duration::from_secs(60), || async {
        std::fs::read_to_string(&mark).map_err(|error| error.to_string())
    })
    .await;
    let addresses: Addresses = serde_json::from_str(&text).expect("addresses");
    let pid = i32::try_from(run.id()).expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
    let status = tokio::task::spawn_blocking(move || run.wait()).await.expect("no panic").expect("it ends");
    assert_eq!((status.code(), status.signal()), (Some(143), None), "the command's end, as a shell would say it");
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port(&addresses.postgres))).await.is_err());
}

#[tokio::test]
async fn each_test_of_a_run_gets_a_nats_account_of_its_own_with_jetstream() {
    let addresses = engines::for_tests().await;
    let first = addresses.next_nats_account().expect("the pool is large enough");
    let second = addresses.next_nats_account().expect("the pool is large enough");
    assert_ne!(first.name, second.name);
    let sign_in = |account: &engines::NatsAccount| account.user("document").expect("one user stands for all").clone();
    let (one, two) = (sign_in(&first), sign_in(&second));
    let stream = r#"{"name":"OWN","subjects":["own"],"num_replicas":1}"#;
    let make = "$JS.API.STREAM.CREATE.OWN";
    let made = nats(&addresses, &one.user, &one.password, make, stream).await.expect("JetStream");
    assert!(!made.contains("\"error\""), "{made}");
    let names = nats(&addresses, &two.user, &two.password, "$JS.API.STREAM.NAMES", "").await.expect("JetStream");
    assert!(!names.contains("OWN"), "another account sees nothing of it: {names}");
    let stranger = nats(&addresses, &one.user, &two.password, "$JS.API.INFO", "").await;
    assert!(stranger.is_err(), "{stranger:?}");
    let count = addresses.nats_pool.as_ref().expect("a set for tests has a pool").count;
    assert!(addresses.nats_account(count).is_none());
}

#[tokio::test]
async fn two_tests_of_one_process_share_one_set() {
    let (first, second) = (engines::for_tests().await, engines::for_tests().await);
    assert_eq!(first.postgres, second.postgres);
    assert_eq!(
        sql(&first.postgres, "show fsync").as_deref(),
        Ok("off"),
        "a throw-away set trades durability for speed"
    );
    assert_eq!(redis(&first.redis, "PING").await.as_deref(), Ok("+PONG"));
}
