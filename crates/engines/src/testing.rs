//! Engines for tests: those of the run (`workos-engines run -- cargo test`), else one throw-away set for this
//! process, held by the thin binary, which ends when our pipe to it closes.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::time::SystemTime;

use tokio::sync::OnceCell;

use crate::address::Addresses;
use crate::error::{Doing, EngineError};

/// The set of this process. Never dropped: the system closes the pipe when the process ends, and that ends the set.
struct Held {
    addresses: Addresses,
    _pipe: Mutex<ChildStdin>,
}

static HELD: OnceCell<Held> = OnceCell::const_new();

/// Addresses for a test: from the environment, else of a set that is started once for this process.
///
/// # Panics
/// When the engines cannot be started; the message says what to do.
pub async fn for_tests() -> Addresses {
    if let Some(addresses) = Addresses::from_env() {
        return addresses;
    }
    let held = HELD.get_or_init(|| async {
        let binary = binary().await.unwrap_or_else(|error| panic!("no engines for this test: {error}"));
        let started = tokio::task::spawn_blocking(move || hold(&binary)).await;
        match started {
            Ok(Ok(held)) => held,
            Ok(Err(text)) => panic!("no engines for this test: {text}"),
            Err(error) => panic!("no engines for this test: {error}"),
        }
    });
    held.await.addresses.clone()
}

/// Starts `workos-engines hold` and reads where its engines are.
fn hold(binary: &Path) -> Result<Held, String> {
    let text = |error: std::io::Error| format!("{}: {error}", binary.display());
    #[expect(clippy::disallowed_methods, reason = "this crate is the home of child processes")]
    let mut child = Command::new(binary)
        .arg("hold")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null()) // it outlives us by a moment and would hold the pipe of our output open
        .spawn()
        .map_err(text)?;
    let pipe = child.stdin.take().expect("stdin is piped");
    let stdout = child.stdout.take().expect("stdout is piped");
    let mut answer = String::new();
    let mut reader = BufReader::new(stdout);
    reader.read_line(&mut answer).map_err(text)?;
    match serde_json::from_str(&answer) {
        Ok(addresses) => Ok(Held { addresses, _pipe: Mutex::new(pipe) }),
        Err(_) => {
            let _ = std::io::Read::read_to_string(&mut reader, &mut answer);
            Err(answer)
        }
    }
}

/// The thin binary beside the running test; built first when it is missing or older than this crate's source.
pub(crate) async fn binary() -> Result<PathBuf, EngineError> {
    static FOUND: OnceCell<PathBuf> = OnceCell::const_new();
    let found =
        FOUND.get_or_try_init(|| async { tokio::task::spawn_blocking(find).await.expect("find does not panic") });
    found.await.cloned()
}

fn find() -> Result<PathBuf, EngineError> {
    let test = std::env::current_exe().doing(|| "find the running program".to_owned())?;
    let folder = test.parent().filter(|folder| folder.ends_with("deps")).and_then(Path::parent);
    let unfit = || {
        EngineError::Configuration(format!(
            "{} starts engines, so its main must begin with engines::guard::main_if_asked()",
            test.display()
        ))
    };
    let folder = folder.ok_or_else(unfit)?;
    let binary = folder.join("workos-engines");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    if modified(&binary).is_none_or(|built| newest(&source).is_some_and(|changed| changed > built)) {
        build(folder)?;
    }
    if binary.is_file() { Ok(binary) } else { Err(unfit()) }
}

fn build(folder: &Path) -> Result<(), EngineError> {
    let target = folder.parent().unwrap_or(folder);
    #[expect(clippy::disallowed_methods, reason = "this crate is the home of child processes")]
    let status = Command::new(env!("CARGO"))
        .args(["build", "-q", "-p", "workos-engines", "--bin", "workos-engines", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .doing(|| "run cargo build -p workos-engines".to_owned())?;
    if status.success() {
        return Ok(());
    }
    Err(EngineError::Configuration("cargo build -p workos-engines failed: its output above says why".to_owned()))
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|data| data.modified()).ok()
}

fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            if path.is_dir() { newest(&path) } else { modified(&path) }
        })
        .max()
}
