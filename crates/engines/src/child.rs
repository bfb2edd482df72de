//! The parent's side of a guard: start it, hear the engine's output, end it by closing the pipe.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::engine::Engine;
use crate::error::{Doing, EngineError};
use crate::guard::{self, GUARD, IN_ORDER, Order};

/// Lines of output kept for an error message.
const TAIL: usize = 20;
/// A longer line is cut.
const LINE: u64 = 4 * 1024;

/// A guard with its engine. Dropping it closes the pipe, which stops the engine.
pub(crate) struct Guarded {
    child: Child,
    pipe: ChildStdin,
    tail: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
    log: PathBuf,
}

impl Guarded {
    /// Starts a guard and gives it its order.
    pub(crate) async fn start(engine: Engine, order: &Order) -> Result<Guarded, EngineError> {
        let program = if guard::is_ready() { guard::own_program() } else { crate::testing::binary().await? };
        #[expect(clippy::disallowed_methods, reason = "this crate is the home of child processes")]
        let mut child = Command::new(&program)
            .arg0(format!("workos-{engine}-guard"))
            .arg(GUARD)
            .current_dir("/")
            .process_group(0) // Ctrl-C in the terminal reaches us, not the engines: they stop last
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null()) // it would hold the pipe of whoever waits for the end of our output
            .spawn()
            .doing(|| format!("start the guard of {engine} ({})", program.display()))?;
        let mut pipe = child.stdin.take().expect("stdin is piped");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut line = serde_json::to_vec(order).expect("strings and numbers always serialize");
        line.push(b'\n');
        pipe.write_all(&line).await.doing(|| format!("give the guard of {engine} its order"))?;
        let tail = Arc::new(Mutex::new(VecDeque::with_capacity(TAIL)));
        #[expect(clippy::disallowed_methods, reason = "engines stand below chassis; aborted on drop")]
        let reader = tokio::spawn(listen(engine, stdout, Arc::clone(&tail)));
        Ok(Guarded { child, pipe, tail, reader, log: order.log.clone() })
    }

    /// Waits for the engine's end. Can be dropped and asked again.
    pub(crate) async fn wait(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => describe(status),
            Err(error) => format!("not known: {error}"),
        }
    }

    /// Stops the engine in order and waits for it.
    pub(crate) async fn stop(mut self) {
        let _ = self.pipe.write_all(format!("{IN_ORDER}\n").as_bytes()).await;
        let _ = self.pipe.shutdown().await;
        let _ = self.child.wait().await;
    }

    /// The last lines of output.
    pub(crate) fn tail(&self) -> String {
        let lines = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("    {line}\n")).collect()
    }

    /// The error of an engine that ended before it was ready.
    pub(crate) async fn died(&mut self, engine: Engine, status: String) -> EngineError {
        // The guard has ended, so the rest of the output is on its way and the end of it comes.
        let _ = tokio::time::timeout(std::time::Duration::from_millis(500), &mut self.reader).await;
        EngineError::Died { engine, status, log: self.log.clone(), tail: self.tail() }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// The guard passes the engine's end on as a shell would: 128 + signal.
fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(code @ 129..=192) => format!("signal {}", code - 128),
        Some(code) => format!("exit code {code}"),
        None => format!("its guard: {status}"),
    }
}

async fn listen(engine: Engine, stdout: ChildStdout, tail: Arc<Mutex<VecDeque<String>>>) {
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    while let Ok(1..) = (&mut reader).take(LINE).read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        tracing::debug!(target: "engines::output", engine = engine.name(), "{text}");
        let mut lines = tail.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL {
            lines.pop_front();
        }
        lines.push_back(text);
        line.clear();
    }
}
