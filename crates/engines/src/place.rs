//! Where an engine's files lie: `.workos/{data,log,run}` for `up`, a temporary folder per set for tests. Also the
//! lock of the folder (one `up` each) and `ports.json`.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::account::{Account, make_passable};
use crate::address::Addresses;
use crate::engine::Engine;
use crate::error::{Doing, EngineError};
use crate::found::Program;
use crate::settings::{Mode, Settings};

/// The files of one engine.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// What it keeps.
    pub(crate) data: PathBuf,
    /// Generated configuration, ours.
    pub(crate) run: PathBuf,
    /// Its output.
    pub(crate) log: PathBuf,
    /// Held by its guard while it runs.
    pub(crate) lock: PathBuf,
    /// Deleted by its guard after it has stopped.
    pub(crate) remove: Option<PathBuf>,
}

/// The files of one set of engines. Dropping it gives the folder free and removes `ports.json`.
#[derive(Debug)]
pub(crate) struct Places {
    root: PathBuf,
    base: PathBuf,
    mode: Mode,
    lock: Option<File>,
}

impl Places {
    /// `.workos` itself, locked for us, or a fresh temporary folder.
    pub(crate) fn open(settings: &Settings, account: Option<Account>) -> Result<Places, EngineError> {
        let root = std::path::absolute(&settings.root).doing(|| "find the current folder".to_owned())?;
        if settings.mode == Mode::Test {
            sweep();
            let base = test_folder(account, &root)?;
            return Ok(Places { root, base, mode: Mode::Test, lock: None });
        }
        let base = root.clone();
        for name in ["data", "log", "run"] {
            make_passable(&base.join(name))?;
        }
        let lock = lock(&base.join("run/lock"), &base)?;
        Ok(Places { root, base, mode: Mode::Up, lock: Some(lock) })
    }

    /// The `.workos` folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of this set.
    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    /// Where the generated passwords are kept.
    pub(crate) fn secrets(&self) -> PathBuf {
        self.base.join(if self.mode == Mode::Up { "data/secrets.json" } else { "secrets.json" })
    }

    /// The files of one engine; its folders exist afterwards, `data` itself excepted.
    pub(crate) fn of(&self, engine: Engine) -> Result<Place, EngineError> {
        let name = engine.name();
        let base = &self.base;
        if self.mode == Mode::Test {
            let folder = base.join(name);
            make_passable(&folder)?;
            return Ok(Place {
                data: folder.join("data"),
                run: folder.clone(),
                log: folder.join("log"),
                lock: folder.join("lock"),
                remove: Some(folder),
            });
        }
        Ok(Place {
            data: base.join("data").join(name),
            run: base.join("run"),
            log: base.join("log").join(format!("{name}.log")),
            lock: base.join("run").join(format!("{name}.lock")),
            remove: None,
        })
    }

    /// Writes `ports.json`, for scripts and for `demo`; only its owner may read it, passwords are inside.
    pub(crate) fn publish(&self, addresses: &Addresses) -> Result<(), EngineError> {
        if self.mode == Mode::Test {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(addresses).expect("strings and numbers always serialize");
        write_private(&self.base.join("run/ports.json"), &text)
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        if self.lock.is_some() {
            let _ = fs::remove_file(self.base.join("run/ports.json"));
        }
        if self.mode == Mode::Test {
            // The guards delete the folders of their engines; here go those of engines that never started.
            for folder in Engine::ALL.map(|engine| self.base.join(engine.name())) {
                let held = File::open(folder.join("lock")).is_ok_and(|lock| lock.try_lock().is_err());
                if !held {
                    let _ = fs::remove_dir_all(&folder);
                }
            }
            remove_if_last(&self.base);
        }
    }
}

/// Deletes the folder of a throw-away set when no engine has a folder in it any more.
pub(crate) fn remove_if_last(set: &Path) {
    let empty = fs::read_dir(set).is_ok_and(|entries| entries.flatten().all(|entry| !entry.path().is_dir()));
    if empty {
        let _ = fs::remove_dir_all(set);
    }
}

/// Replaces a file in one step; readable by its owner alone, never for a moment by others.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), EngineError> {
    let new = path.with_extension(format!("new{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().doing(|| format!("write {}", path.display()))
}

/// Takes the lock of a `.workos` folder, or says who has it.
pub(crate) fn lock(path: &Path, base: &Path) -> Result<File, EngineError> {
    let doing = || format!("lock {}", path.display());
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).doing(doing)?;
    if file.try_lock().is_err() {
        let mut pid = String::new();
        let _ = file.read_to_string(&mut pid);
        return Err(EngineError::Running { folder: base.to_owned(), pid: pid.trim().to_owned() });
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .doing(doing)?;
    Ok(file)
}

/// Refuses data of another major version; notes the version of new data.
pub(crate) fn check_version(engine: Engine, place: &Place, program: &Program) -> Result<(), EngineError> {
    let note = place.data.with_extension("version");
    match fs::read_to_string(&note) {
        Ok(found) if place.data.exists() => {
            if found.trim().split('.').next() == Some(program.major()) {
                return Ok(());
            }
            return Err(EngineError::OtherVersion {
                engine,
                folder: place.data.clone(),
                found: found.trim().to_owned(),
                program: program.version.clone(),
            });
        }
        _ => {}
    }
    fs::write(&note, format!("{}\n", program.version)).doing(|| format!("write {}", note.display()))
}

const TEST_FOLDER: &str = "workos-test-";

/// A fresh folder for a throw-away set, in the temporary folder, or where the account of PostgreSQL can reach it.
fn test_folder(account: Option<Account>, root: &Path) -> Result<PathBuf, EngineError> {
    let name = format!("{TEST_FOLDER}{}-{:08x}", std::process::id(), rand::random::<u32>());
    let near = std::env::temp_dir().join(&name);
    make_passable(&near)?;
    if account.is_none_or(|account| account.reaches(&near)) {
        return Ok(near);
    }
    let _ = fs::remove_dir(&near);
    let far = crate::account::shelter(root)?.join(&name);
    make_passable(&far)?;
    Ok(far)
}

/// Deletes what sets left behind whose guards were killed, too (else the guards delete it).
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(TEST_FOLDER)?.split('-').next()?.parse::<i32>().ok());
        let gone = pid.is_some_and(|pid| kill(Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH));
        let old = entry
            .metadata()
            .and_then(|data| data.modified())
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > std::time::Duration::from_secs(60)));
        if gone && old {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
