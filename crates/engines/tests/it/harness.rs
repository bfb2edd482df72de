//! What the tests share: folders, sets held by the thin binary, processes found and killed, polling with a deadline.

use std::fs;
use std::future::Future;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use engines::{Addresses, Mode, Ports, Settings};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The thin binary.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_workos-engines");

/// A command; the one place of these tests that makes any.
pub(crate) fn command(program: impl AsRef<Path>) -> Command {
    #[expect(clippy::disallowed_methods, reason = "tests of the home of child processes")]
    Command::new(program.as_ref())
}

/// A `.workos` folder that goes with the test, passable for the account of PostgreSQL.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        let name = format!("workos-it-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let path = std::env::temp_dir().join(name).join(".workos");
        fs::create_dir_all(&path).expect("a temporary folder can be made");
        let outer = path.parent().expect("it was joined");
        fs::set_permissions(outer, fs::Permissions::from_mode(0o755)).expect("it is ours");
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Durable settings in this folder, on ports that no other test prefers.
    pub(crate) fn settings(&self) -> Settings {
        let first = rand::random_range(20_000..31_000);
        let ports = Ports {
            postgres: first,
            redis: first + 200,
            nats: first + 400,
            temporal: first + 600,
            temporal_ui: first + 800,
        };
        Settings { root: self.0.clone(), mode: Mode::Up, ports, ..Settings::default() }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.parent().expect("it was joined"));
    }
}

/// `workos-engines hold --durable FOLDER`: a parent that can be killed.
pub(crate) struct Holder {
    child: Child,
    pub(crate) addresses: Addresses,
}

impl Holder {
    pub(crate) fn start(folder: &Folder) -> Holder {
        let mut child = command(BINARY)
            .args(["hold", "--durable"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary was built for this test");
        let mut reader = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        reader.read_line(&mut line).expect("it says where the engines are");
        let addresses = serde_json::from_str(&line).unwrap_or_else(|_| {
            let _ = reader.read_to_string(&mut line);
            panic!("no engines: {line}")
        });
        Holder { child, addresses }
    }

    /// SIGKILL: no destructor runs, nothing is said to anybody.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ended");
    }

    /// Closes its standard input and waits for the orderly end.
    pub(crate) fn stop(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("it ends").success());
    }
}

/// Processes that work inside a folder, engines and their children.
pub(crate) fn processes_in(folder: &Path) -> Vec<i32> {
    let all = fs::read_dir("/proc").expect("this is Linux").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder))).collect()
}

/// The process of one engine: the one in its folder whose parent is a guard. Polled, it may be on its way.
pub(crate) async fn engine_in(folder: &Path) -> i32 {
    eventually("an engine in the folder", Duration::from_secs(20), || async {
        let all = processes_in(folder);
        let is_engine = |pid: &i32| {
            let name = parent(*pid).and_then(|parent| fs::read_to_string(format!("/proc/{parent}/cmdline")).ok());
            name.is_some_and(|name| name.contains("engine-guard"))
        };
        all.iter().copied().find(is_engine).ok_or_else(|| format!("{all:?}"))
    })
    .await
}

pub(crate) fn parent(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

pub(crate) fn kill_hard(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs and is ours");
}

/// Asks until the answer is `Ok`; at the deadline fails with the last `Err`.
pub(crate) async fn eventually<T, F>(what: &str, limit: Duration, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(state) if began.elapsed() > limit => panic!("{what} did not come within {limit:?}; last: {state}"),
            Err(_) => tokio::task::yield_now().await,
        }
        pause().await;
    }
}

/// Between two questions.
async fn pause() {
    tokio::time::timeout(Duration::from_millis(20), std::future::pending::<()>()).await.expect_err("it never comes");
}

/// The port in an address.
pub(crate) fn port(address: &str) -> u16 {
    let digits = address.rsplit(':').next().expect("there is one");
    digits.split('/').next().and_then(|digits| digits.parse().ok()).expect("an address of ours ends with its port")
}
