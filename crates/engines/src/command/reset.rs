//! `workos-engines reset`: deletes `.workos/data`, and the part of it that lies in the shelter.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use crate::account::shelter_path;
use crate::error::{Doing, EngineError};
use crate::place::lock;
use crate::settings::Settings;

/// Asks, unless told not to, and deletes; 1 when the answer was no.
pub(super) fn reset(yes: bool) -> Result<u8, EngineError> {
    let root = std::path::absolute(Settings::default().root).doing(|| "find the current folder".to_owned())?;
    let folders = [root.join("data"), shelter_path(&root).join("data")];
    let there: Vec<PathBuf> = folders.into_iter().filter(|folder| folder.exists()).collect();
    if there.is_empty() {
        say("nothing to delete: there are no data");
        return Ok(0);
    }
    crate::account::make_passable(&root.join("run"))?;
    let held = lock(&root.join("run/lock"), &root)?;
    let list = there.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(" and ");
    if !yes && !agreed(&list) {
        say("nothing was deleted");
        return Ok(1);
    }
    for folder in there {
        fs::remove_dir_all(&folder).doing(|| format!("delete {}", folder.display()))?;
    }
    drop(held);
    say(&format!("deleted {list}"));
    Ok(0)
}

fn agreed(list: &str) -> bool {
    let _ = write!(std::io::stderr(), "Delete {list}, with every document, file and account in it? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
