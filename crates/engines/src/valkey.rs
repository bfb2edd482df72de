//! Valkey: one generated configuration with a password. `up` keeps an append-only file, tests keep nothing.

use crate::engine::Engine;
use crate::error::EngineError;
use crate::found::Program;
use crate::guard::{Order, Signal, Stop};
use crate::place::{Place, check_version, write_private};
use crate::probe::Probe;
use crate::settings::Mode;
use crate::supervise::{Plan, environment};

/// How to start it.
pub(crate) fn plan(
    mode: Mode,
    place: &Place,
    program: Program,
    port: u16,
    password: &str,
) -> Result<Plan, EngineError> {
    crate::account::make_passable(&place.data)?;
    check_version(Engine::Valkey, place, &program)?;
    let file = place.run.join("valkey.conf");
    write_private(&file, &configuration(mode, &place.data.display().to_string(), port, password))?;
    let order = Order {
        name: "workos-valkey".to_owned(),
        program: program.path.clone(),
        arguments: vec![file.display().to_string()],
        environment: environment(&place.data),
        folder: place.data.clone(),
        account: None,
        log: place.log.clone(),
        lock: Some(place.lock.clone()),
        remove: place.remove.clone(),
        stops: vec![Stop { signal: Signal::Term, in_order_seconds: 15, orphaned_seconds: 3 }],
    };
    let probe = Probe::Valkey { password: password.to_owned() };
    Ok(Plan { engine: Engine::Valkey, version: program.version, port, order, probe })
}

/// Bounded memory: all of it can be rebuilt, so the least used goes first.
fn configuration(mode: Mode, folder: &str, port: u16, password: &str) -> String {
    let durable = if mode == Mode::Up { "yes" } else { "no" };
    format!(
        "bind 127.0.0.1\nport {port}\nprotected-mode yes\nrequirepass {password}\ndir \"{folder}\"\ndaemonize no\n\
         databases 16\nsave \"\"\nappendonly {durable}\nappendfsync everysec\naof-load-truncated yes\n\
         maxmemory 256mb\nmaxmemory-policy allkeys-lru\nmaxclients 4000\nlogfile \"\"\nloglevel notice\n"
    )
}
