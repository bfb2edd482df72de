//! The second stage: still our program, about to become the engine. It switches the account, and asks the kernel to
//! end the engine when the guard dies; in that order, since a change of account clears the wish.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, getppid, setgid, setgroups, setuid};

use super::Order;

/// Becomes the engine; returns only when that fails, with the code of a program that cannot be run.
pub(super) fn main(order: &str) -> i32 {
    let guard = getppid();
    let error = match serde_json::from_str::<Order>(order) {
        Err(error) => error.to_string(),
        Ok(order) => match prepare(&order, guard) {
            Err(error) => error.to_string(),
            Ok(()) => become_engine(&order).to_string(),
        },
    };
    let _ = writeln!(std::io::stderr(), "cannot become the engine: {error}");
    126
}

fn prepare(order: &Order, guard: nix::unistd::Pid) -> nix::Result<()> {
    if let Some((uid, gid)) = order.account {
        setgroups(&[])?;
        setgid(Gid::from_raw(gid))?;
        setuid(Uid::from_raw(uid))?;
    }
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(Some(nix::sys::signal::Signal::SIGQUIT))?;
    // Killed before the wish was heard: then we are somebody else's child by now.
    if getppid() != guard { Err(nix::errno::Errno::ESRCH) } else { Ok(()) }
}

fn become_engine(order: &Order) -> std::io::Error {
    #[expect(clippy::disallowed_methods, reason = "this crate is the home of child processes")]
    Command::new(&order.program)
        .args(&order.arguments)
        .env_clear()
        .envs(order.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&order.folder)
        .exec()
}
