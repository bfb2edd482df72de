//! The thin binary as a process: exit codes, signals, migrations, health, traces.
use std::{
    convert::Infallible,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{rt::TokioExecutor, rt::TokioIo, server::conn::auto};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use testkit::{Engine, System, eventually, temporary_folder};

use crate::service::DOCUMENT;

/// The example `service`, which cargo builds beside this test.
#[expect(clippy::disallowed_methods, reason = "this test is about a process of its own")]
fn service(settings: &[(&str, &str)], arguments: &[&str]) -> Command {
    let test = std::env::current_exe().expect("a test has a program");
    let folder = test.parent().and_then(std::path::Path::parent).expect("tests lie in deps");
    let mut command = Command::new(folder.join("examples/service"));
    command.args(arguments).env_clear().current_dir(temporary_folder("process")).stdout(Stdio::piped()).stderr(Stdio::piped());
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
        for stream in [child.stdout.take().map(|s| Box::new(s) as Box<dyn std::io::Read>), child.stderr.take().map(|s| Box::new(s) as _)].into_iter().flatten() {
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

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("bound").to_string()
}

fn signal(child: &Child, name: nix::sys::signal::Signal) {
    let process = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    nix::sys::signal::kill(process, name).expect("it runs");
}

/// Waits until everything but the keys is there: those come from a service that does not run here.
async fn until_it_runs(address: &str) {
    let look = || async {
        let mut stream = tokio::net::TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let request = b"GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let mut answer = String::new();
        let exchange = async {
            stream.write_all(request).await?;
            stream.read_to_string(&mut answer).await
        };
        exchange.await.map_err(|error| error.to_string())?;
        if answer.contains("verify keys") && !answer.contains("\"start\"") { Ok(()) } else { Err(answer) }
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
    eventually("the admin port is closed or draining", || async {
        let output = run(service(&[], &["health", "--address", &address, "--service", "liveness"])).await;
        Some(output)
    })
    .await;
    signal(&child, nix::sys::signal::Signal::SIGINT);
    let (code, log) = ended(child).await;
    assert_eq!(code, Some(70));
    assert!(log.contains("second signal"), "{log}");
}

#[tokio::test]
async fn traces_go_to_the_collector_and_log_lines_are_json() {
    let system = System::start(&[&DOCUMENT]).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
    let collector = format!("http://{}", listener.local_addr().expect("bound"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = tokio::spawn(collect(listener, Arc::clone(&seen)));
    let (address, folder) = (free_address(), temporary_folder("process").display().to_string());
    let mut settings = settings(&system, &address, &folder);
    settings.extend([("telemetry.otlp_url", collector.as_str()), ("telemetry.format", "json"), ("lifecycle.drain", "1s")]);
    let child = service(&settings, &["serve"]).spawn().expect("it starts");
    until_it_runs(&address).await;
    signal(&child, nix::sys::signal::Signal::SIGTERM);
    let (_, log) = ended(child).await;
    let first = log.lines().find(|line| line.starts_with('{')).expect("the log is on stdout");
    let line: serde_json::Value = serde_json::from_str(first).expect("one object per line");
    assert_eq!(line["service.name"], "workos-document");
    eventually("spans arrive", || async {
        let seen = seen.lock().expect("not poisoned");
        seen.iter().any(|(path, body): &(String, Bytes)| path.ends_with("TraceService/Export") && body.windows(15).any(|part| part == b"workos-document")).then_some(())
    })
    .await;
    sink.abort();
}

/// Takes whatever comes and answers gRPC OK with an empty message.
async fn collect(listener: tokio::net::TcpListener, seen: Arc<Mutex<Vec<(String, Bytes)>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let seen = Arc::clone(&seen);
        let answer = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let seen = Arc::clone(&seen);
            async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                seen.lock().expect("not poisoned").push((path, body));
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
                let body = Full::new(Bytes::from_static(&[0; 5])).with_trailers(async move { Some(Ok::<_, Infallible>(trailers)) });
                let response = http::Response::builder().header("content-type", "application/grpc").body(body);
                Ok::<_, Infallible>(response.expect("a valid response"))
            }
        });
        tokio::spawn(async move { auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await.map_err(drop) });
    }
}
