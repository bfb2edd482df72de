//! The root secret and what is derived from it.
//!
//! Everything a service needs as a key comes from one secret by HMAC-SHA-256 under a stated purpose, so that instances agree
//! and nothing else has to be distributed. In profile `dev` the secret is made once and kept in the data folder.
use std::{io::Write as _, path::Path};

use anyhow::Context as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{BootError, Platform, Profile};

/// Name of the file in the data folder (profile `dev` only).
const FILE: &str = "secret.key";

/// The root secret.
#[derive(Clone)]
pub(crate) struct RootKey(Vec<u8>);

impl RootKey {
    /// The configured secret, else the one in the data folder.
    pub(crate) fn resolve(platform: &Platform) -> Result<RootKey, BootError> {
        let configured = platform.secret_key.reveal();
        if !configured.is_empty() {
            return Ok(RootKey(configured.into_bytes()));
        }
        if platform.profile != Profile::Dev {
            return Err(crate::ConfigError::new("secret_key is empty outside the profile `dev`").into());
        }
        let path = platform.data_dir.join(FILE);
        std::fs::create_dir_all(&platform.data_dir)
            .with_context(|| format!("create the data folder {} (data_dir)", platform.data_dir.display()))?;
        let text = read_or_make(&path).with_context(|| format!("make the secret key {}", path.display()))?;
        Ok(RootKey(text.into_bytes()))
    }

    /// The key for one purpose.
    pub(crate) fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// The password of a service's account at an engine, when none is configured.
    pub(crate) fn password(&self, engine: &str, service: &str) -> String {
        self.derive(&format!("{engine} account {service}")).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Two processes may start at once: the file is made under another name and linked, so that both read the same whole key.
fn read_or_make(path: &Path) -> std::io::Result<String> {
    if let Ok(text) = std::fs::read_to_string(path) {
        return Ok(text.trim().to_owned());
    }
    let made = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&made)?;
    let secret: String = rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    match std::fs::hard_link(&made, path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    std::fs::remove_file(&made)?;
    Ok(std::fs::read_to_string(path)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_depends_on_its_purpose_and_on_nothing_else() {
        let (first, second) = (RootKey(b"a".to_vec()), RootKey(b"b".to_vec()));
        assert_eq!(first.derive("document/page tokens"), first.derive("document/page tokens"));
        assert_ne!(first.derive("document/page tokens"), first.derive("file/page tokens"));
        assert_ne!(first.derive("x"), second.derive("x"));
        assert_eq!(first.password("postgres", "document").len(), 64);
    }

    #[test]
    fn the_secret_of_a_data_folder_is_made_once_and_private() {
        let folder = std::env::temp_dir().join(format!("workos-root-key-{}", std::process::id()));
        let platform = Platform { data_dir: folder.clone(), ..Platform::default() };
        let (first, second) = (RootKey::resolve(&platform).expect("made"), RootKey::resolve(&platform).expect("read"));
        assert_eq!(first.0, second.0);
        assert_eq!(first.0.len(), 64);
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(folder.join(FILE)).expect("it exists"));
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_dir_all(folder).expect("made above");
    }
}
