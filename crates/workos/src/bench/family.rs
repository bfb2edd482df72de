//! What the processes below a process have used so far, by their names, read from `/proc`.
use std::collections::HashMap;

use anyhow::{Context, Result};

/// Clock ticks per second on Linux, in `/proc/PID/stat`.
const TICKS: f64 = 100.0;

/// One process.
struct Member {
    name: String,
    parent: u32,
    /// Its own CPU ticks, and those of its children that have ended.
    ticks: f64,
}

fn member(pid: u32) -> Option<Member> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = (11..15).filter_map(|index| fields.get(index)?.parse::<f64>().ok()).sum();
    Some(Member { name: head.split_once('(')?.1.to_owned(), parent: fields.get(1)?.parse().ok()?, ticks })
}

/// CPU seconds of all processes below one that have one of these names, and of their children that have ended.
pub(crate) fn cpu_of(root: u32, names: &[&str]) -> Result<f64> {
    let entries = std::fs::read_dir("/proc").context("this machine has no /proc")?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let all: HashMap<u32, Member> = pids.filter_map(|pid| Some((pid, member(pid)?))).collect();
    let below = |mut pid: u32| {
        while let Some(member) = all.get(&pid) {
            if member.parent == root {
                return true;
            }
            pid = member.parent;
        }
        false
    };
    let named = all.iter().filter(|(pid, member)| names.contains(&member.name.as_str()) && below(**pid));
    Ok(named.map(|(_, member)| member.ticks).sum::<f64>() / TICKS)
}
