//! NATS with JetStream. `up`: one account `workos` with the callers' users, every acknowledged message synced.
//! Tests: a pool of accounts made beforehand, so that each test takes one of its own (a thousand cost 40 MB and half
//! a second, measured), nothing synced.

use std::fmt::Write as _;

use serde_json::json;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::found::Program;
use crate::guard::{Order, Signal, Stop};
use crate::place::{Place, check_version, write_private};
use crate::probe::Probe;
use crate::secrets::derive;
use crate::settings::{Mode, NatsUser, Settings};
use crate::supervise::{Plan, environment};

/// The user that only the readiness probe signs in as.
const PROBE: &str = "workos-engines";

/// The users of `up`: the callers', else one that may do everything.
pub(crate) fn users(settings: &Settings) -> Vec<NatsUser> {
    if settings.nats_users.is_empty() {
        return vec![NatsUser { name: "workos".to_owned(), ..NatsUser::default() }];
    }
    settings.nats_users.clone()
}

/// Name of a pool account's user: the account's, with the caller's user behind it if there are some.
pub(crate) fn pool_user(account: &str, user: &str) -> String {
    if user.is_empty() { account.to_owned() } else { format!("{account}-{user}") }
}

/// How to start it.
pub(crate) fn plan(
    settings: &Settings,
    place: &Place,
    program: Program,
    port: u16,
    secret: &str,
) -> Result<Plan, EngineError> {
    crate::account::make_passable(&place.data)?;
    check_version(Engine::Nats, place, &program)?;
    let file = place.run.join("nats.conf");
    write_private(&file, &configuration(settings, place, port, secret))?;
    let order = Order {
        name: "workos-nats".to_owned(),
        program: program.path.clone(),
        arguments: vec!["-c".to_owned(), file.display().to_string()],
        environment: environment(&place.data),
        folder: place.data.clone(),
        account: None,
        log: place.log.clone(),
        lock: Some(place.lock.clone()),
        remove: place.remove.clone(),
        stops: vec![Stop { signal: Signal::Term, in_order_seconds: 15, orphaned_seconds: 3 }],
    };
    let probe = Probe::Nats { user: PROBE.to_owned(), password: derive(secret, PROBE) };
    Ok(Plan { engine: Engine::Nats, version: program.version, port, order, probe })
}

/// The configuration file. Everything that comes from outside is quoted as JSON, which NATS reads as it is.
fn configuration(settings: &Settings, place: &Place, port: u16, secret: &str) -> String {
    let sync = if settings.mode == Mode::Up { "always" } else { "2m" };
    let store = json!(place.data.display().to_string());
    let mut text = format!(
        "host: 127.0.0.1\nport: {port}\nserver_name: workos\n\
         jetstream {{ store_dir: {store}, sync_interval: {sync}, max_mem: 1GB, max_file: 64GB }}\n\
         max_payload: 1MB\nmax_connections: 8192\nwrite_deadline: \"10s\"\nsystem_account: SYS\naccounts {{\n\
         SYS {{ users: [] }}\n"
    );
    let mut account = |name: &str, users: Vec<String>| {
        let _ = writeln!(text, "{name} {{ jetstream: enabled, users: [{}] }}", users.join(", "));
    };
    let probe = json!({"user": PROBE, "password": derive(secret, PROBE), "permissions":
        {"publish": ["$JS.API.INFO"], "subscribe": ["_INBOX.>"]}});
    account("PROBE", vec![probe.to_string()]);
    if settings.mode == Mode::Up {
        account("workos", users(settings).iter().map(|user| entry(user, &user.name, secret)).collect());
    } else {
        let everyone = [NatsUser::default()];
        let each = if settings.nats_users.is_empty() { &everyone[..] } else { &settings.nats_users[..] };
        for number in 0..settings.nats_accounts {
            let name = format!("t{number}");
            account(&name, each.iter().map(|user| entry(user, &pool_user(&name, &user.name), secret)).collect());
        }
    }
    text.push_str("}\n");
    text
}

/// One user with its permissions.
fn entry(user: &NatsUser, name: &str, secret: &str) -> String {
    let password = user.password.clone().unwrap_or_else(|| derive(secret, name));
    let mut entry = json!({"user": name, "password": password});
    let mut permissions = serde_json::Map::new();
    for (what, subjects) in [("publish", &user.publish), ("subscribe", &user.subscribe)] {
        if !subjects.is_empty() {
            permissions.insert(what.to_owned(), json!(subjects));
        }
    }
    if !permissions.is_empty() {
        entry["permissions"] = permissions.into();
    }
    entry.to_string()
}
