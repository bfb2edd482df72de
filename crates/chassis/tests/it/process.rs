//! The thin binary as a process: exit codes, signals, migrations, health, traces.
use std::{
    process::{Child, Command, Output, Stdio},
    sync::Arc,
};

use bytes::Bytes;
use testkit::{Collector, Engine, System, eventually, free_address, temporary_folder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::service::DOCUMENT;

/// The example `service`, which cargo builds beside this test.
#[expect(clippy::disallowed_methods, reason = "this test is about a process of its own")]
fn service(settings: &[(&str, &str)], arguments: &[&str]) -> Command {
    let test = std::env::current_exe().expect("a test has a program");
    let folder = test.parent().and_then(std::path::Path::parent).expect("tests lie in deps");
    let mut command = Command::new(folder.join("examples/service"));
    command
        .args(arguments)
        .env_clear()
        .current_dir(temporary_folder("process"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (key, value) in settings {
        command.env(format!("WORKOS__{}", key.replace('.', "__").to_uppercase()), value);
    }
    command
}

async fn run(command: Command) -> Output {
    let mut command = command;
    tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it runs")
}

async fn ended(mut child: Child) -> (Option<i32>, String) {
    let waited = tokio::task::spawn_blocking(move || {
        let status = child.wait().expect("our child");
        let mut text = String::new();
        for stream in [
            child.stdout.take().map(|s| Box::new(s) as Box<dyn std::io::Read>),
            child.stderr.take().map(|s| Box::new(s) as _),
        ]
        .into_iter()
        .flatten()
        {
            let mut stream = stream;
            let _ = std::io::Read::read_to_string(&mut stream, &mut text);
        }
        (status.code(), text)
    });
    tokio::time::timeout(std::time::Duration::from_secs(30), waited).await.expect("it ends in time").expect("no panic")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Settings for a process beside a running system; `free` is a port for its admin pages.
fn settings<'a>(system: &'a System, free: &'a str, folder: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("engines.postgres.url", system.engine_url(Engine::Postgres)),
        ("engines.redis.url", system.engine_url(Engine::Redis)),
        ("engines.nats.url", system.engine_url(Engine::Nats)),
        ("secret_key", "testkit secret that protects nothing at all"),
        ("admin.listen", free),
        ("mesh.mode", "process"),
        ("data_dir", folder),
        ("lifecycle.drain", "5s"),
    ]
}

fn signal(child: &Child, name: nix::sys::signal::Signal) {
    let process = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    nix::sys::signal::kill(process, name).expect("it runs");
}

/// The page `/ready`, or why it could not be read.
async fn ready_page(address: &str) -> std::io::Result<String> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.write_all(b"GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Waits until everything but the keys is there: those come from a service that does not run here.
async fn until_it_runs(address: &str) {
    let runs = |page: &String| page.contains("verify keys") && !page.contains("\"start\"");
    let look = || async {
        match ready_page(address).await {
            Ok(page) if runs(&page) => Ok(()),
            other => Err(other),
        }
    };
    eventually("the process runs", look).await;
}

#[tokio::test]
async fn help_and_defaults_are_printed_and_a_wrong_setting_exits_with_78() {
    let output = run(service(&[], &["--help"])).await;
    assert!(output.status.success());
    assert!(text(&output).contains("WORKOS__SECTION__KEY"), "{}", text(&output));
    let output = run(service(&[], &["config", "default"])).await;
    assert!(output.status.success() && text(&output).contains("# Address of the admin port."), "{}", text(&output));
    let output = run(service(&[("telemetry.levle", "info")], &["config", "check"])).await;
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output).contains("levle"), "{}", text(&output));
    let output = run(service(&[], &["serve"])).await;
    assert_eq!(output.status.code(), Some(78), "no engines: {}", text(&output));
    let output = run(service(&[], &["health", "--address", &free_address()])).await;
    assert_eq!(output.status.code(), Some(70), "nobody listens: {}", text(&output));
}

#[tokio::test]
async fn migrating_twice_changes_nothing_the_second_time() {
    let system = System::start(&[&DOCUMENT]).await;
    let folder = temporary_folder("process").display().to_string();
    let output = run(service(&settings(&system, "127.0.0.1:0", &folder), &["migrate"])).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("nothing to do"), "{}", text(&output));
}

#[tokio::test]
async fn a_signal_drains_and_a_second_one_ends_at_once() {
    let system = System::start(&[&DOCUMENT]).await;
    let (address, folder) = (free_address(), temporary_folder("process").display().to_string());
    let mut settings = settings(&system, &address, &folder);
    settings.push(("lifecycle.drain", "2s"));
    let child = service(&settings, &["serve"]).spawn().expect("it starts");
    until_it_runs(&address).await;
    let output = run(service(&[], &["health", "--address", &address, "--service", "liveness"])).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    signal(&child, nix::sys::signal::Signal::SIGTERM);
    let (code, log) = ended(child).await;
    assert_eq!(code, Some(70), "a task had to be cut: {log}");
    assert!(log.contains("document/stubborn"), "the log names it: {log}");

    settings.push(("lifecycle.drain", "10m"));
    let child = service(&settings, &["serve"]).spawn().expect("it starts");
    until_it_runs(&address).await;
    signal(&child, nix::sys::signal::Signal::SIGINT);
    let drains = || async { ready_page(&address).await.ok().filter(|page| page.contains("\"draining\":true")) };
    eventually("it drains", drains).await;
    signal(&child, nix::sys::signal::Signal::SIGINT);
    let (code, log) = ended(child).await;
    assert_eq!(code, Some(70));
    assert!(log.contains("second signal"), "{log}");
}

#[tokio::test]
async fn traces_go_to_the_collector_and_log_lines_are_json() {
    let system = System::start(&[&DOCUMENT]).await;
    let collector = Collector::start().await;
    let (address, folder) = (free_address(), temporary_folder("process").display().to_string());
    let mut settings = settings(&system, &address, &folder);
    settings.extend([("telemetry.otlp_url", collector.url()), ("telemetry.format", "json"), ("lifecycle.drain", "1s")]);
    let child = service(&settings, &["serve"]).spawn().expect("it starts");
    until_it_runs(&address).await;
    signal(&child, nix::sys::signal::Signal::SIGTERM);
    let (_, log) = ended(child).await;
    let first = log.lines().find(|line| line.starts_with('{')).expect("the log is on stdout");
    let line: serde_json::Value = serde_json::from_str(first).expect("one object per line");
    assert_eq!(line["service.name"], "workos-document");
    eventually("spans arrive", || async {
        let ours = |(path, body): &(String, Bytes)| {
            path.ends_with("TraceService/Export") && body.windows(15).any(|part| part == b"workos-document")
        };
        collector.seen().iter().any(ours).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_service_alone_speaks_mutual_tls_and_only_to_workloads() {
    let system = System::start(&[&DOCUMENT]).await;
    let folder = temporary_folder(&format!("mutual-{}", std::process::id()));
    let settings_of_mesh = mesh::Settings::default();
    let trust = mesh::identity::Trust::new(&settings_of_mesh.trust_domain, &settings_of_mesh.namespace);
    mesh::tls::certificates(&folder, &["document", "gateway"], &trust, api::Clock::default().now())
        .expect("a development CA");
    let file = |name: &str| folder.join(name).display().to_string();
    let (admin, rpc, data) = (free_address(), free_address(), file("data"));
    let (certificate, key, ca) = (file("{service}.pem"), file("{service}-key.pem"), file("ca.pem"));
    let mut settings = settings(&system, &admin, &data);
    settings.retain(|(key, _)| *key != "mesh.mode");
    settings.extend([
        ("mesh.certificate", certificate.as_str()),
        ("mesh.key", &key),
        ("mesh.ca", &ca),
        ("rpc.listen", &rpc),
    ]);
    settings.push(("lifecycle.drain", "1s"));
    let child = service(&settings, &["serve"]).spawn().expect("it starts");
    until_it_runs(&admin).await;

    let answer = services_listed_at(&rpc, &folder).await;
    assert!(answer.contains("workos.events.v1.EventAdminService"), "{answer}");

    let mut plain = tokio::net::TcpStream::connect(&rpc).await.expect("the port is open");
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("sent");
    let mut refused = Vec::new();
    let _ = plain.read_to_end(&mut refused).await;
    assert!(!refused.windows(3).any(|part| part == [0, 0, 0]), "no HTTP/2 settings frame without TLS: {refused:?}");
    signal(&child, nix::sys::signal::Signal::SIGTERM);
    ended(child).await;
}

/// What the reflection of `document` lists to the workload `gateway`.
async fn services_listed_at(rpc: &str, folder: &std::path::Path) -> String {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest,
    };
    let clock = api::Clock::default();
    let certificate = folder.join("gateway.pem");
    let files = mesh::tls::Files { certificate, key: folder.join("gateway-key.pem"), ca: Some(folder.join("ca.pem")) };
    let transport = mesh::client::Transport::Direct(mesh::tls::Reloading::open(files).expect("just written"));
    let verifier =
        authz::Verifier::new("gateway", authz::Keys::default(), authz::Revocations::new(clock.clone()), clock);
    let addresses = std::collections::BTreeMap::from([("document".to_owned(), vec![rpc.to_owned()])]);
    let settings = mesh::Settings { mode: mesh::Mode::Direct, addresses, ..mesh::Settings::default() };
    let gateway = mesh::client::Mesh::new("gateway", transport, Arc::new(verifier), settings);
    let context = api::CallContext::background("test", &api::Ids::default());
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut reflection = ServerReflectionClient::new(gateway.as_workload("document", &context));
    let answers = reflection.server_reflection_info(futures::stream::iter([request])).await.expect("mutual TLS holds");
    format!("{:?}", answers.into_inner().message().await.expect("an answer"))
}

/// KiB of this process that are resident and not of a file.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("its own memory");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

#[tokio::test]
async fn what_is_free_goes_back_to_the_system_while_nobody_asks_for_memory() {
    let _system = System::start(&[&DOCUMENT]).await;
    let before = resident();
    // More than the start has left free: those are filled first and add nothing.
    let blocks: Vec<Vec<u8>> = (0..8_192).map(|_| vec![1; 32 * 1024]).collect();
    let filled = resident();
    assert!(filled > before + 100 * 1024, "256 MiB are in use: {before} became {filled}");
    drop(std::hint::black_box(blocks));
    let small = || async { Some(resident()).filter(|now| *now < before + 32 * 1024) };
    eventually("a quarter is left at most", small).await;
}
