//! The guard process: starts the engine, waits for its end or for the end of the parent, stops it in order.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use super::{ENTER, IN_ORDER, Order, Stop, output, own_program};

/// What the guard ends with when it could not do its work (`EX_OSERR`).
const FAILED: i32 = 71;

/// The whole life of a guard; returns the engine's exit code, or 128 + signal.
pub(super) fn main() -> i32 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail("start", &error),
    };
    let result = runtime.block_on(guard());
    // Not dropped: that would wait for the thread that reads from the parent.
    runtime.shutdown_background();
    match result {
        Ok(status) => status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        Err(error) => fail("guard the engine", &error),
    }
}

fn fail(doing: &str, error: &std::io::Error) -> i32 {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "guard: cannot {doing}: {error}");
    FAILED
}

async fn guard() -> std::io::Result<ExitStatus> {
    // Handlers, not a mask: a mask would be inherited by the engine. What is caught and not looked at is ignored.
    let _ignored = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()]
        .map(|kind| signal(kind));
    let mut parent = BufReader::new(tokio::io::stdin()).lines();
    let line = parent.next_line().await?.ok_or_else(|| std::io::Error::other("the parent sent no order"))?;
    let order: Order = serde_json::from_str(&line)?;
    let lock = order.lock.as_ref().map(File::create).transpose()?;
    if lock.as_ref().is_some_and(|lock| lock.try_lock().is_err()) {
        return Err(std::io::Error::other("the previous one still runs"));
    }
    let (mut child, writer) = start(&order)?;
    let status = tokio::select! {
        status = child.wait() => status?,
        in_order = end_of(&mut parent) => stop(&mut child, &order.stops, in_order).await?,
    };
    writer.finish().await;
    if let Some(folder) = &order.remove {
        let _ = std::fs::remove_dir_all(folder);
        if let Some(set) = folder.parent() {
            crate::place::remove_if_last(set);
        }
    }
    drop(lock);
    Ok(status)
}

/// Starts the engine through the second stage, its output copied by `output`.
fn start(order: &Order) -> std::io::Result<(Child, output::Output)> {
    let (reader, writer) = std::io::pipe()?;
    #[expect(clippy::disallowed_methods, reason = "this crate is the home of child processes")]
    let mut command = Command::new(own_program());
    let child = command
        .arg0(&order.name)
        .arg(ENTER)
        .arg(serde_json::to_string(order)?)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()?;
    drop(command); // it holds the writing end, and we wait for the end of the output
    Ok((child, output::copy(reader, order.log.clone())?))
}

/// Waits until the parent asks (true) or is gone (false).
async fn end_of(parent: &mut Lines<BufReader<Stdin>>) -> bool {
    matches!(parent.next_line().await, Ok(Some(line)) if line == IN_ORDER)
}

/// The engine's own way of stopping, step by step; SIGKILL at the end.
async fn stop(child: &mut Child, stops: &[Stop], in_order: bool) -> std::io::Result<ExitStatus> {
    for step in stops {
        let Some(pid) = child.id() else { break };
        let _ = kill(Pid::from_raw(pid.cast_signed()), step.signal.number());
        let seconds = if in_order { step.in_order_seconds } else { step.orphaned_seconds };
        if let Ok(status) = timeout(Duration::from_secs(seconds), child.wait()).await {
            return status;
        }
    }
    child.start_kill()?;
    child.wait().await
}
