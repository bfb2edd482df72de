//! The guard: a small process between us and each engine, so that no engine outlives its parent.
//!
//! It is our own program started again. Its standard input is a pipe from the parent: first a line with the order,
//! then nothing; when the pipe closes, for whatever reason (`kill -9` too), the guard stops the engine in order.
//! It stands in its own process group and ignores signals meant for the parent. The engine itself is entered through
//! a second stage, `enter`, which switches the account and asks the kernel to end the engine should the guard be
//! killed. All of it without unsafe code.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

mod enter;
mod output;
mod watch;

/// First argument of a program that is to be a guard.
pub(crate) const GUARD: &str = "engine-guard";
/// First argument of a program that is to become an engine.
const ENTER: &str = "engine-enter";
/// The line by which a parent says that it ends the engine on purpose, and has time.
pub(crate) const IN_ORDER: &str = "stop";

static READY: AtomicBool = AtomicBool::new(false);

/// Everything a guard has to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Shown by `ps`.
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// The whole environment of the engine.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) folder: PathBuf,
    /// Account to switch to: uid, gid.
    pub(crate) account: Option<(u32, u32)>,
    pub(crate) log: PathBuf,
    /// Held while the engine runs.
    pub(crate) lock: Option<PathBuf>,
    /// Deleted when the engine has stopped.
    pub(crate) remove: Option<PathBuf>,
    /// How the engine wants to be stopped.
    pub(crate) stops: Vec<Stop>,
}

/// One step of stopping: the signal, and how long it may take before the next step (SIGKILL after the last).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stop {
    pub(crate) signal: Signal,
    /// When the parent asked for it.
    pub(crate) in_order_seconds: u64,
    /// When the parent is gone.
    pub(crate) orphaned_seconds: u64,
}

/// The signals that mean "stop" to one of our engines.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Signal {
    Int,
    Quit,
    Term,
}

impl Signal {
    fn number(self) -> nix::sys::signal::Signal {
        match self {
            Signal::Int => nix::sys::signal::Signal::SIGINT,
            Signal::Quit => nix::sys::signal::Signal::SIGQUIT,
            Signal::Term => nix::sys::signal::Signal::SIGTERM,
        }
    }
}

/// Must be the first thing in `main` of a program that starts engines: when the program was started again as a
/// guard, it is one, and this call does not return.
pub fn main_if_asked() {
    let mut arguments = std::env::args();
    let code = match (arguments.nth(1).as_deref(), arguments.next()) {
        (Some(GUARD), _) => watch::main(),
        (Some(ENTER), Some(order)) => enter::main(&order),
        _ => {
            READY.store(true, Ordering::Relaxed);
            return;
        }
    };
    #[expect(clippy::disallowed_methods, reason = "a guard has nothing to drain, and a thread that waits for input")]
    std::process::exit(code);
}

/// Whether this program can be started again as a guard.
pub(crate) fn is_ready() -> bool {
    READY.load(Ordering::Relaxed)
}

/// The program that is running now, even if a new build has replaced its file since.
pub(crate) fn own_program() -> PathBuf {
    let link = PathBuf::from("/proc/self/exe");
    if link.exists() { link } else { std::env::current_exe().unwrap_or(link) }
}
