//! Programs that others wrote, which a bench compares the platform with: had once into the tools folder, in the versions of `peers.txt`,
//! and run for as long as the bench does.
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use super::process::command;
use crate::terminal;

const PEERS: &str = include_str!("peers.txt");
/// A peer that does not listen after this is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// One line of `peers.txt`.
struct Pin {
    name: &'static str,
    tool: &'static str,
    what: &'static str,
}

impl Pin {
    fn of(name: &str) -> Result<Self> {
        let lines = PEERS.lines().filter(|line| !line.starts_with('#'));
        let mut parts = lines.map(|line| line.splitn(3, ' '));
        let found = parts.find_map(|mut parts| match (parts.next(), parts.next(), parts.next()) {
            (Some(found), Some(tool), Some(what)) if found == name => Some(Self { name: found, tool, what }),
            _ => None,
        });
        found.with_context(|| format!("peers.txt has no {name}"))
    }

    fn version(&self) -> &'static str {
        match self.tool {
            "go" => self.what.rsplit_once('@').map_or("", |(_, version)| version),
            _ => self.what.split(':').nth(2).unwrap_or_default(),
        }
    }
}

/// Name and version of a peer.
pub(crate) fn label(name: &str) -> Result<String> {
    Pin::of(name).map(|pin| format!("{name} {}", pin.version().trim_start_matches('v')))
}

/// The folder of a peer with its program in it; an error says why it cannot be had.
pub(crate) async fn folder(name: &str) -> Result<PathBuf> {
    let pin = Pin::of(name)?;
    #[expect(clippy::disallowed_methods, reason = "a bench has no configuration but what ./dev gives it")]
    let tools = std::env::var_os("WORKOS_TOOLS").map(PathBuf::from);
    let tools = tools.context("WORKOS_TOOLS is not set; run ./dev bench auth")?;
    let folder = tools.join(format!("{}-{}", pin.name, pin.version()));
    if folder.is_dir() {
        return Ok(folder);
    }
    terminal::note(format!("having {name} {} once, which takes minutes", pin.version()));
    let half = folder.with_extension("new");
    let _ = std::fs::remove_dir_all(&half);
    std::fs::create_dir_all(&half)?;
    match pin.tool {
        "go" => build(pin.what, &half).await?,
        _ => unpack(pin.what, &tools, &half).await?,
    }
    std::fs::rename(&half, &folder)?;
    Ok(folder)
}

/// A Go program out of its module.
async fn build(what: &str, folder: &Path) -> Result<()> {
    let mut go = command(Path::new("go"));
    go.args(["install", what]).env("GOBIN", folder).env("GOFLAGS", "-modcacherw");
    run(go, "go (Debian: apt-get install golang-go)").await
}

/// An archive out of Maven; Python unpacks it, since every tools folder has one. All of it lies in one folder, which is taken away.
async fn unpack(what: &str, tools: &Path, folder: &Path) -> Result<()> {
    let archive = folder.join("archive");
    let mut maven = command(Path::new("mvn"));
    maven.args(["-q", "-B", "dependency:copy"]).arg(format!("-Dartifact={what}"));
    maven.arg(format!("-DoutputDirectory={}", archive.display()));
    run(maven, "mvn (Debian: apt-get install maven)").await?;
    for entry in std::fs::read_dir(&archive)? {
        let mut python = command(&tools.join("venv/bin/python"));
        python.args(["-m", "zipfile", "-e"]).arg(entry?.path()).arg(&archive);
        run(python, "python").await?;
    }
    for entry in std::fs::read_dir(&archive)?.flatten().filter(|entry| entry.path().is_dir()) {
        for inner in std::fs::read_dir(entry.path())?.flatten() {
            std::fs::rename(inner.path(), folder.join(inner.file_name()))?;
        }
    }
    Ok(std::fs::remove_dir_all(&archive)?)
}

/// Runs a command to its end.
pub(crate) async fn run(mut command: Command, what: &str) -> Result<()> {
    let status = command.spawn().with_context(|| format!("{what} cannot be started"))?.wait().await?;
    if status.success() { Ok(()) } else { bail!("{what} failed ({status}); what it said stands above") }
}

/// A peer that runs; it ends when this is dropped.
pub(crate) struct Peer {
    child: Child,
    /// Name and version.
    pub(crate) label: String,
}

impl Peer {
    /// Starts one and waits until it listens on this address. What it says goes to a file; an error has the end of it.
    pub(crate) async fn start(mut command: Command, label: String, log: &Path, listens: SocketAddr) -> Result<Self> {
        let file = std::fs::File::create(log)?;
        command.stdout(Stdio::from(file.try_clone()?)).stderr(Stdio::from(file));
        let child = command.spawn().with_context(|| format!("start {label}"))?;
        let mut peer = Self { child, label };
        let (begin, mut tick) = (Instant::now(), tokio::time::interval(Duration::from_millis(50)));
        while tokio::net::TcpStream::connect(listens).await.is_err() {
            if let Some(status) = peer.child.try_wait()? {
                bail!("{} ended at once ({status}): {}", peer.label, last_lines(log));
            }
            if begin.elapsed() > PATIENCE {
                bail!("{} does not listen on {listens}: {}", peer.label, last_lines(log));
            }
            tick.tick().await;
        }
        Ok(peer)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.child.id().with_context(|| format!("{} has ended", self.label))
    }
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" / ")
}

/// An address of this machine that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
