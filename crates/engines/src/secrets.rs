//! Passwords of engines on this machine: made once, kept beside the data they open, readable by their owner alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Doing, EngineError};
use crate::place::write_private;

/// What `secrets.json` holds. No `Debug`: it must not reach a log.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Secrets {
    /// Of PostgreSQL's superuser.
    pub(crate) postgres: String,
    /// Of Valkey.
    pub(crate) valkey: String,
    /// From which the passwords of NATS users are derived.
    pub(crate) nats: String,
}

impl Secrets {
    /// Reads them, or makes them when there are no data yet that would need the old ones.
    pub(crate) fn load(path: &Path, postgres_data: &Path) -> Result<Secrets, EngineError> {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).map_err(|_| {
                EngineError::Configuration(format!(
                    "{} is damaged: restore it, or delete the data with `./dev reset`",
                    path.display()
                ))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if postgres_data.exists() {
                    return Err(EngineError::SecretsLost { data: postgres_data.to_owned(), secrets: path.to_owned() });
                }
                let made = Secrets { postgres: word(), valkey: word(), nats: word() };
                write_private(path, &serde_json::to_string(&made).expect("strings always serialize"))?;
                Ok(made)
            }
            Err(error) => Err(error).doing(|| format!("read {}", path.display())),
        }
    }
}

/// 160 random bits in letters that need no quoting anywhere.
fn word() -> String {
    hex(&rand::random::<[u8; 20]>())
}

/// The password of a NATS user, from the set's secret and the user's name.
pub(crate) fn derive(secret: &str, name: &str) -> String {
    hex(&Sha256::digest(format!("{secret}/{name}").as_bytes())[..16])
}

/// A map of NATS users to their passwords: given ones stay, the others are derived.
pub(crate) fn nats_users(secret: &str, users: &[crate::settings::NatsUser]) -> BTreeMap<String, String> {
    let password =
        |user: &crate::settings::NatsUser| user.password.clone().unwrap_or_else(|| derive(secret, &user.name));
    users.iter().map(|user| (user.name.clone(), password(user))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
