//! PostgreSQL: `initdb` once, then `postgres`, under an account that is not root. `up` is durable, with checksums
//! and SCRAM; tests trade durability for speed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::account::{Account, make_passable, reachable, shelter};
use crate::child::Guarded;
use crate::engine::{Engine, Step};
use crate::error::{Doing, EngineError};
use crate::found::Program;
use crate::guard::{Order, Signal, Stop};
use crate::place::{Place, check_version, write_private};
use crate::probe::Probe;
use crate::settings::Mode;
use crate::supervise::{Plan, environment};

/// A new data folder takes a second or two; on a laden machine more.
const INITDB: Duration = Duration::from_secs(180);

/// The superuser, and the database that always exists.
pub(crate) const SUPERUSER: &str = "postgres";

/// What `plan` needs to know.
pub(crate) struct Ask<'a> {
    pub(crate) mode: Mode,
    pub(crate) root: &'a Path,
    pub(crate) account: Option<Account>,
    pub(crate) port: u16,
    pub(crate) password: &'a str,
    pub(crate) tell: &'a (dyn Fn(Step) + Send + Sync),
}

/// Makes the data folder if there is none, and says how to start the server.
pub(crate) async fn plan(ask: &Ask<'_>, place: &Place, program: Program) -> Result<Plan, EngineError> {
    let program = match ask.account {
        Some(account) => reachable(program, account, || (ask.tell)(Step::Copying))?,
        None => program,
    };
    let mut place = place.clone();
    place.data = data_folder(&place.data, ask)?;
    check_version(Engine::Postgres, &place, &program)?;
    check_major(&place, &program)?;
    if !place.data.exists() {
        (ask.tell)(Step::Initializing);
        initialize(ask, &place, &program).await?;
    }
    let mut arguments = vec!["-D".to_owned(), place.data.display().to_string()];
    for setting in settings(ask.mode, ask.port) {
        arguments.extend(["-c".to_owned(), setting]);
    }
    let order = Order {
        arguments,
        program: program.path.clone(),
        lock: Some(place.lock.clone()),
        remove: place.remove.clone(),
        ..order(ask, &place)
    };
    Ok(Plan { engine: Engine::Postgres, version: program.version, port: ask.port, order, probe: Probe::Postgres })
}

/// Where the data lie: in `.workos/data`, or in the shelter if the account cannot get there.
pub(crate) fn data_folder(wanted: &Path, ask: &Ask<'_>) -> Result<PathBuf, EngineError> {
    let parent = wanted.parent().expect("a data folder has a parent");
    make_passable(parent)?;
    if ask.account.is_none_or(|account| account.reaches(parent)) {
        return Ok(wanted.to_owned());
    }
    let moved = shelter(ask.root)?.join("data/postgres");
    make_passable(moved.parent().expect("it has one"))?;
    tracing::info!(folder = %moved.display(), "postgres keeps its data there: its account cannot reach .workos");
    Ok(moved)
}

/// Belt and braces: PostgreSQL notes its major version itself.
fn check_major(place: &Place, program: &Program) -> Result<(), EngineError> {
    match fs::read_to_string(place.data.join("PG_VERSION")) {
        Ok(found) if found.trim() != program.major() => Err(EngineError::OtherVersion {
            engine: Engine::Postgres,
            folder: place.data.clone(),
            found: found.trim().to_owned(),
            program: program.version.clone(),
        }),
        _ => Ok(()),
    }
}

/// `initdb` into a folder beside, then one rename: a half-made cluster is never found.
async fn initialize(ask: &Ask<'_>, place: &Place, program: &Program) -> Result<(), EngineError> {
    let half = place.data.with_extension("new");
    let password = place.data.with_extension("password");
    if half.exists() {
        fs::remove_dir_all(&half).doing(|| format!("delete the half-made {}", half.display()))?;
    }
    fs::create_dir(&half).doing(|| format!("make the folder {}", half.display()))?;
    write_private(&password, ask.password)?;
    if let Some(account) = ask.account {
        account.own(&half)?;
        account.own(&password)?;
    }
    let mut arguments: Vec<String> = [
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        "--data-checksums",
        "--no-instructions",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.extend([format!("--username={SUPERUSER}"), format!("--pwfile={}", password.display())]);
    if ask.mode == Mode::Test {
        arguments.push("--no-sync".to_owned());
    }
    arguments.extend(["-D".to_owned(), half.display().to_string()]);
    let order = Order { arguments, program: program.beside("initdb"), ..order(ask, place) };
    let ran = run_once(&order).await;
    let _ = fs::remove_file(&password);
    ran?;
    fs::rename(&half, &place.data).doing(|| format!("rename {}", half.display()))
}

async fn run_once(order: &Order) -> Result<(), EngineError> {
    let mut guarded = Guarded::start(Engine::Postgres, order).await?;
    let status = tokio::time::timeout(INITDB, guarded.wait())
        .await
        .unwrap_or_else(|_| format!("initdb did not end in {INITDB:?}"));
    if status == "exit code 0" { Ok(()) } else { Err(guarded.died(Engine::Postgres, status).await) }
}

/// What `initdb` and `postgres` have in common.
fn order(ask: &Ask<'_>, place: &Place) -> Order {
    let folder = place.data.parent().expect("a data folder has a parent").to_owned();
    Order {
        name: "workos-postgres".to_owned(),
        program: PathBuf::new(),
        arguments: Vec::new(),
        environment: environment(&folder),
        folder,
        account: ask.account.map(Account::ids),
        log: place.log.clone(),
        lock: None,
        remove: None,
        // Fast shutdown; then immediate, from which the next start recovers.
        stops: vec![
            Stop { signal: Signal::Int, in_order_seconds: 30, orphaned_seconds: 3 },
            Stop { signal: Signal::Quit, in_order_seconds: 5, orphaned_seconds: 1 },
        ],
    }
}

/// Settings of the server. No Unix socket: its path would be one more thing that must be reachable and short.
fn settings(mode: Mode, port: u16) -> Vec<String> {
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        "unix_socket_directories=".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
        "max_connections=400".to_owned(),
        "shared_buffers=128MB".to_owned(),
        "password_encryption=scram-sha-256".to_owned(),
        "idle_in_transaction_session_timeout=10min".to_owned(),
    ];
    if mode == Mode::Test {
        let fast = [
            "fsync=off",
            "full_page_writes=off",
            "synchronous_commit=off",
            "wal_level=minimal",
            "max_wal_senders=0",
            "max_wal_size=4GB",
            "checkpoint_timeout=1h",
        ];
        settings.extend(fast.map(str::to_owned));
    }
    settings
}
