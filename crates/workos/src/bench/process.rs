//! The measured process: a platform of its own in a throw-away folder, so that its memory and CPU time are its alone.
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use super::{
    family,
    usage::{cpu_of, memory_of},
};
use crate::{running::Place, terminal};

/// A platform under measurement.
pub(crate) struct Measured {
    child: Child,
    root: PathBuf,
    /// Where it is.
    pub(crate) place: Place,
    /// From the start of the process to ready.
    pub(crate) start: Duration,
}

impl Measured {
    /// Starts one, with settings of its own. The tools folder is shared with the project's.
    pub(crate) async fn start(tools: &Path, settings: &[&str]) -> Result<Self> {
        let root = std::env::temp_dir().join(format!("workos-bench-{}", std::process::id()));
        let dot = root.join(".workos");
        std::fs::create_dir_all(&dot)?;
        if let Err(error) = std::os::unix::fs::symlink(tools, dot.join("tools"))
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(error.into());
        }
        let begin = Instant::now();
        let child = Self::spawn(&root, settings)?;
        let limit = Duration::from_secs(120);
        let place = loop {
            if let Some(place) = Place::read(&dot) {
                break place;
            }
            if begin.elapsed() > limit {
                bail!(
                    "the platform under measurement was not ready after {limit:?}; see {}",
                    dot.join("log").display()
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        Ok(Self { child, root, place, start: begin.elapsed() })
    }

    fn spawn(root: &Path, settings: &[&str]) -> Result<Child> {
        let listen = ["gateway.listen=127.0.0.1:0", "admin.listen=127.0.0.1:0", "telemetry.level=warn"];
        let mut command = command(&std::env::current_exe()?);
        command.args(["up", "--quiet"]).current_dir(root);
        for setting in listen.iter().chain(settings) {
            command.args(["--set", setting]);
        }
        command.spawn().context("start the platform under measurement")
    }

    /// The `.workos` folder.
    pub(crate) fn root(&self) -> PathBuf {
        self.root.join(".workos")
    }

    /// CPU seconds used so far, user and system.
    pub(crate) fn cpu(&self) -> Result<f64> {
        cpu_of(self.pid()?)
    }

    /// CPU seconds that its PostgreSQL and its Valkey have used so far.
    pub(crate) fn engines_cpu(&self) -> Result<f64> {
        family::cpu_of(self.pid()?, &["postgres", "valkey-server"])
    }

    /// Waits until its engines rest, two minutes at most: what they tidy up after many rows were written at once is no cost of a call.
    pub(crate) async fn engines_rest(&self) -> Result<()> {
        self.rests(120, || Ok(0.0)).await
    }

    /// Waits until its engines rest, and what else this tells the CPU seconds of, so many seconds at most.
    pub(crate) async fn rests(&self, most: usize, also: impl Fn() -> Result<f64>) -> Result<()> {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let mut before = f64::MIN;
        for _ in 0..most {
            tick.tick().await;
            let now = self.engines_cpu()? + also()?;
            if now - before < 0.05 {
                break;
            }
            before = now;
        }
        Ok(())
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.child.id().context("the platform has ended")
    }

    /// Resident memory in MiB.
    pub(crate) fn memory(&self) -> Result<f64> {
        memory_of(self.pid()?)
    }

    /// Ends it in order and removes its folder.
    pub(crate) async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM)?;
        }
        tokio::time::timeout(Duration::from_secs(60), self.child.wait())
            .await
            .context("the platform does not end")??;
        let _ = std::fs::remove_dir_all(&self.root);
        Ok(())
    }
}

/// A program to start, quiet, that ends with whoever started it.
#[expect(clippy::disallowed_methods, reason = "a process under measurement must be one of its own")]
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    command
}

/// The program of one service, as its image has it. Where this one stands alone it is asked for the service instead, and holds more memory
/// than the service's own program: the bench says which one it was.
pub(crate) fn service(name: &str) -> Result<Command> {
    let this = std::env::current_exe()?;
    let own = this.with_file_name(format!("workos-{name}"));
    if own.is_file() {
        let mut serve = command(&own);
        serve.arg("serve");
        return Ok(serve);
    }
    terminal::note(format!("no workos-{name} beside this program; `workos serve {name}` stands for it"));
    let mut serve = command(&this);
    serve.args(["serve", name]);
    Ok(serve)
}
