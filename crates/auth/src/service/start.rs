//! What must be there before the first call: wrapping key, pepper.
//!
//! In profile `dev` the two secrets are made at the first start and kept as files of mode 0600; elsewhere a missing one is a configuration
//! error, never made. Signing keys are made under an advisory lock, so that of several instances one makes them.
use std::{
    io::{ErrorKind, Write},
    path::Path,
};

use anyhow::Context;
use chassis::{BootError, ConfigError, Kit, Profile, Secret};
use tokio::sync::{Notify, watch};

use super::Auth;
use crate::{
    config::Config,
    credential::{DeviceKey, HashPool, MailKey, Passkeys, Vault, hmac, new_key, read_key},
    oidc::{Fetcher, Upstreams},
};

/// The secrets that are not in the database.
pub(crate) struct Secrets {
    wrapping_key: [u8; 32],
    /// The wrapping key before, while something may be sealed under it.
    previous_wrapping_key: Option<[u8; 32]>,
    pepper: [u8; 32],
}

impl Secrets {
    /// The configured ones; in profile `dev` those of the data folder, made when missing.
    ///
    /// # Errors
    /// A [`ConfigError`] that says what to configure.
    pub(crate) fn resolve(config: &Config, profile: Profile, data_dir: &Path) -> Result<Self, BootError> {
        let dev = (profile == Profile::Dev).then_some(data_dir);
        Ok(Self {
            wrapping_key: read_secret("wrapping_key", &config.wrapping_key, dev)?,
            previous_wrapping_key: match config.previous_wrapping_key.is_empty() {
                true => None,
                false => Some(read_secret("previous_wrapping_key", &config.previous_wrapping_key, None)?),
            },
            pepper: read_secret("pepper", &config.pepper, dev)?,
        })
    }
}

impl Secrets {
    /// The key of what mails carry.
    pub(crate) fn mail_key(&self) -> MailKey {
        MailKey::new(&self.pepper)
    }

    /// What seals secrets for the database.
    pub(crate) fn vault(&self) -> Vault {
        Vault::new(&self.wrapping_key, self.previous_wrapping_key.as_ref())
    }

    /// The key of what attempts are counted under.
    pub(crate) fn identifiers(&self) -> [u8; 32] {
        hmac(&self.pepper, &[b"workos sign-in identifiers v1"])
    }
}

/// One secret: configured, or out of the data folder (`dev`), which then has a file of its name with `-` for `_`.
fn read_secret(name: &str, configured: &Secret, dev: Option<&Path>) -> Result<[u8; 32], BootError> {
    let wrong = |place: &str| {
        ConfigError::new(format!(
            "[auth] {place} must hold 32 bytes in base64; make some with `openssl rand -base64 32`"
        ))
    };
    if !configured.is_empty() {
        return Ok(read_key(&configured.reveal()).ok_or_else(|| wrong(&format!("{name} or {name}_file")))?);
    }
    let Some(folder) = dev else {
        let remedy = format!(
            "[auth] {name} is not set; outside the profile `dev` it is never made: set {name}_file to the path of its file"
        );
        return Err(ConfigError::new(remedy).into());
    };
    let path = folder.join(name.replace('_', "-"));
    if !path.exists() {
        write_private(&path, &format!("{}\n", new_key()), false)
            .with_context(|| format!("make the secret file {}", path.display()))?;
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("read the secret file {}", path.display()))?;
    Ok(read_key(&text).ok_or_else(|| wrong(&path.display().to_string()))?)
}

/// Writes a file that only this account reads, whole or not at all. Without `replace`, a file that is there stays: another process
/// that starts at the same moment may have made it.
pub(super) fn write_private(path: &Path, text: &str, replace: bool) -> std::io::Result<()> {
    let made = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&made)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    if replace {
        return std::fs::rename(&made, path);
    }
    let linked = std::fs::hard_link(&made, path);
    std::fs::remove_file(&made)?;
    linked.or_else(|error| if error.kind() == ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
}

impl Auth {
    /// The service, without its keys: those need the database, which may come later.
    pub(crate) fn new(kit: &Kit, config: Config, secrets: &Secrets) -> Result<Self, BootError> {
        let listed = config.private_hosts.clone();
        let fetcher = Fetcher::new(listed).context("read the certificates of this machine's authorities")?;
        Ok(Self {
            db: kit.db(),
            clock: kit.clock(),
            ids: kit.ids(),
            sealer: kit.sealer(),
            upstreams: Upstreams::new(fetcher),
            config,
            hashes: HashPool::start(secrets.pepper).context("start the password threads")?,
            keys: watch::Sender::new(None),
            mail_key: secrets.mail_key(),
            news: super::audit::News::default(),
            mails: Notify::new(),
            identifiers: secrets.identifiers(),
            turns: super::lockout::Turns::new(),
            devices: DeviceKey::new(hmac(&secrets.pepper, &[b"workos device marks v1"])),
            passkeys: Passkeys::new(kit.public_url()),
            vault: secrets.vault(),
            issuer: kit.public_url().to_owned(),
            data_dir: kit.data_dir(),
            verifiers: kit.revocations(),
            directory: kit.directory(),
            groups: kit.groups(),
            verify_keys: kit.verify_keys(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_secret_is_made_in_development_and_refused_elsewhere() {
        let folder = std::env::temp_dir().join(format!("workos-auth-secrets-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
        let config = Config::default();
        for profile in [Profile::Staging, Profile::Prod] {
            let refused = Secrets::resolve(&config, profile, &folder).err().expect("it is never made");
            assert!(refused.downcast_ref::<ConfigError>().is_some(), "exit code 78");
            assert!(refused.to_string().contains("wrapping_key_file"), "{refused}");
        }
        let first = Secrets::resolve(&config, Profile::Dev, &folder).expect("made");
        let second = Secrets::resolve(&config, Profile::Dev, &folder).expect("read");
        assert_eq!((first.wrapping_key, first.pepper), (second.wrapping_key, second.pepper));
        assert_ne!(first.wrapping_key, first.pepper);
        let given = Config { wrapping_key: Secret::new("short"), ..Config::default() };
        assert!(
            Secrets::resolve(&given, Profile::Prod, &folder).err().expect("malformed").to_string().contains("32 bytes")
        );
        std::fs::remove_dir_all(folder).expect("made above");
    }
}
