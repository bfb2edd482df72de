//! `workos-engines run -- COMMAND`.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Doing, EngineError};
use crate::start::Engines;

/// Starts the set, runs the command, stops the set; the command's exit code (128 + signal if one ended it).
pub(super) async fn run(command: &[OsString]) -> Result<u8, EngineError> {
    // Heard from the first moment on: a Ctrl-C while engines start must still stop them.
    let signals = Signals::listen()?;
    let start = Engines::start(super::throw_away(), |progress| {
        let _ = writeln!(std::io::stderr(), "engines: {progress}");
    });
    let mut signals = signals;
    let engines = tokio::select! {
        engines = start => engines?,
        number = signals.next() => return Ok(128 + number),
    };
    let ran = child(command, &engines, &mut signals).await;
    engines.stop().await;
    Ok(code(ran?))
}

async fn child(command: &[OsString], engines: &Engines, signals: &mut Signals) -> Result<ExitStatus, EngineError> {
    let (program, arguments) = command.split_first().expect("clap requires one");
    #[expect(clippy::disallowed_methods, reason = "this crate is the home of child processes")]
    let mut child = Command::new(program)
        .args(arguments)
        .envs(engines.addresses().to_env())
        .spawn()
        .doing(|| format!("run {}", program.display()))?;
    let failed = engines.failed();
    tokio::pin!(failed);
    let mut reported = false;
    loop {
        tokio::select! {
            status = child.wait() => return status.doing(|| format!("wait for {}", program.display())),
            number = signals.next() => pass_on(&child, number),
            error = &mut failed, if !reported => {
                reported = true;
                let _ = writeln!(std::io::stderr(), "engines: {error}");
            }
        }
    }
}

/// Ctrl-C reaches the command by itself (one terminal, one group); what was sent to us alone is passed on.
fn pass_on(child: &Child, number: u8) {
    let signal = Signal::try_from(i32::from(number)).ok().filter(|signal| *signal != Signal::SIGINT);
    if let (Some(signal), Some(pid)) = (signal, child.id()) {
        let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
    }
}

fn code(status: ExitStatus) -> u8 {
    let number = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(number & 0xff).unwrap_or(u8::MAX)
}

struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Signals, EngineError> {
        let one = |kind| signal(kind).doing(|| "listen to signals".to_owned());
        Ok(Signals {
            interrupt: one(SignalKind::interrupt())?,
            terminate: one(SignalKind::terminate())?,
            hangup: one(SignalKind::hangup())?,
        })
    }

    /// The number of the next one.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
            _ = self.hangup.recv() => 1,
        }
    }
}
