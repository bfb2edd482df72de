//! Child processes of the `workos` binary that cannot outlive the test: a shell between us and the child kills it when the
//! pipe to the shell closes, which the system does for us even when the test is killed.
use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use testkit::eventually_within;

/// The shell holds no end of the output pipes, so that they close when the child ends.
const KEEPER: &str =
    r#""$0" "$@" </dev/null & pid=$!; echo "$pid"; exec >/dev/null 2>&1; read -r line; kill -9 "$pid"; wait "$pid""#;
/// Patience for an orderly end.
const END: Duration = Duration::from_secs(60);

/// A running `workos`.
pub(crate) struct Process {
    keeper: Child,
    pipe: Option<ChildStdin>,
    pid: Pid,
    output: Output,
    name: String,
}

/// What a process has written so far.
#[derive(Clone, Default)]
pub(crate) struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    errors: Arc<Mutex<String>>,
    ended: Arc<AtomicBool>,
}

impl Process {
    /// Starts `workos` with these arguments in a folder.
    pub(crate) fn start(arguments: &[&str], folder: &Path, environment: &BTreeMap<String, String>) -> Process {
        #[expect(
            clippy::disallowed_methods,
            reason = "the tests of the whole drive the real binary; a keeper ends it with us"
        )]
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", KEEPER, env!("CARGO_BIN_EXE_workos")])
            .args(arguments)
            .current_dir(folder)
            .envs(environment);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut keeper = spawned.expect("a shell can be started");
        let mut stdout = BufReader::new(keeper.stdout.take().expect("stdout is piped"));
        let mut pid = String::new();
        stdout.read_line(&mut pid).expect("the shell says which process it started");
        let pid = Pid::from_raw(pid.trim().parse().unwrap_or_else(|_| panic!("{pid:?} is no process id")));
        let (output, stderr) = (Output::default(), keeper.stderr.take().expect("stderr is piped"));
        output.follow(stdout, stderr);
        let pipe = keeper.stdin.take();
        Process { keeper, pipe, pid, output, name: arguments.join(" ") }
    }

    pub(crate) fn output(&self) -> &Output {
        &self.output
    }

    /// SIGKILL: no drain, no farewell.
    pub(crate) fn kill(mut self) -> Output {
        kill(self.pid, Signal::SIGKILL).expect("the process runs until it is killed");
        self.close();
        self.output.clone()
    }

    /// SIGTERM, and waits for the orderly end.
    pub(crate) async fn stop(self) -> Output {
        kill(self.pid, Signal::SIGTERM).expect("the process runs until it is stopped");
        self.succeeds(END).await
    }

    /// Waits for the end by itself, which must be a success.
    pub(crate) async fn succeeds(mut self, patience: Duration) -> Output {
        let output = self.output.clone();
        eventually_within(patience, &format!("the end of workos {}", self.name), || async {
            if output.has_ended() { Ok(()) } else { Err(output.tail()) }
        })
        .await;
        let code = self.close();
        assert_eq!(code, Some(0), "workos {}: {}", self.name, output.tail());
        output
    }

    /// Waits for the end by itself, which must be a failure.
    pub(crate) async fn fails(mut self, patience: Duration) -> Output {
        let output = self.output.clone();
        eventually_within(patience, &format!("the end of workos {}", self.name), || async {
            if output.has_ended() { Ok(()) } else { Err(output.tail()) }
        })
        .await;
        let code = self.close();
        assert_ne!(code, Some(0), "workos {}: {}", self.name, output.tail());
        output
    }

    /// Closes the pipe, which ends whatever still runs, and gives the exit code.
    fn close(&mut self) -> Option<i32> {
        drop(self.pipe.take());
        self.keeper.wait().ok()?.code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.close();
    }
}

impl Output {
    fn follow(&self, stdout: impl Read + Send + 'static, mut stderr: impl Read + Send + 'static) {
        let of = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                of.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
            of.ended.store(true, Ordering::Release);
        });
        let of = self.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut piece) {
                let text = String::from_utf8_lossy(&piece[..read]);
                of.errors.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
        });
    }

    /// Nobody writes any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// All of stdout.
    pub(crate) fn text(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// All of stdout and stderr.
    pub(crate) fn everything(&self) -> String {
        format!("{}\n{}", self.text(), self.errors.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The log lines (ECS) that satisfy a condition.
    pub(crate) fn log(&self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(|line| fits(line)).collect()
    }

    /// How many requests the edge has answered.
    pub(crate) fn requests(&self) -> usize {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|line| line.contains("\"http.response.status_code\"")).count()
    }

    /// The last lines, for messages of failed tests.
    pub(crate) fn tail(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let last = lines[lines.len().saturating_sub(30)..].join("\n");
        format!(
            "stdout: {last}\nstderr: {}",
            errors.chars().rev().take(4_000).collect::<Vec<_>>().into_iter().rev().collect::<String>()
        )
    }
}
