//! The measured process: a platform of its own in a throw-away folder, so that its memory and CPU time are its alone.
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use super::usage::{cpu_of, memory_of};
use crate::running::Place;

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
    /// Starts one. The tools folder is shared with the project's.
    pub(crate) async fn start(tools: &Path) -> Result<Self> {
        let root = std::env::temp_dir().join(format!("workos-bench-{}", std::process::id()));
        let dot = root.join(".workos");
        std::fs::create_dir_all(&dot)?;
        if let Err(error) = std::os::unix::fs::symlink(tools, dot.join("tools"))
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(error.into());
        }
        let begin = Instant::now();
        let child = Self::spawn(&root)?;
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

    #[expect(clippy::disallowed_methods, reason = "the process under measurement must be one of its own")]
    fn spawn(root: &Path) -> Result<Child> {
        let program = std::env::current_exe()?;
        let listen = [
            "--set",
            "gateway.listen=127.0.0.1:0",
            "--set",
            "admin.listen=127.0.0.1:0",
            "--set",
            "telemetry.level=warn",
        ];
        let mut command = Command::new(program);
        command
            .args(["up", "--quiet"])
            .args(listen)
            .current_dir(root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        command.kill_on_drop(true).spawn().context("start the platform under measurement")
    }

    /// The `.workos` folder.
    pub(crate) fn root(&self) -> PathBuf {
        self.root.join(".workos")
    }

    /// CPU seconds used so far, user and system.
    pub(crate) fn cpu(&self) -> Result<f64> {
        cpu_of(self.child.id().context("the platform has ended")?)
    }

    /// Resident memory in MiB.
    pub(crate) fn memory(&self) -> Result<f64> {
        memory_of(self.child.id().context("the platform has ended")?)
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
