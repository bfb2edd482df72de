//! The account PostgreSQL runs under. As root it must be another one that exists (`initdb` wants a name), and that
//! account must be able to reach program and data; where it cannot, both move under `/var/tmp/workos-<hash>/`.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User};
use sha2::{Digest, Sha256};

use crate::error::{Doing, EngineError};
use crate::found::Program;

/// An account to switch to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// The account to switch to; `None` when we are not root and stay who we are.
    pub(crate) fn choose(asked: Option<&str>) -> Result<Option<Account>, EngineError> {
        if !Uid::effective().is_root() {
            return match asked {
                Some(name) if User::from_uid(Uid::effective()).ok().flatten().is_none_or(|me| me.name != name) => {
                    Err(EngineError::Configuration(format!(
                        "engines.account is {name}, but only root can switch: unset it, or run as root or as {name}"
                    )))
                }
                _ => Ok(None),
            };
        }
        let candidates: &[&str] = match &asked {
            Some(name) => std::slice::from_ref(name),
            None => &["postgres", "nobody"],
        };
        let found = candidates.iter().find_map(|name| User::from_name(name).ok().flatten());
        match found {
            Some(user) if !user.uid.is_root() => Ok(Some(Account { uid: user.uid.as_raw(), gid: user.gid.as_raw() })),
            _ => Err(EngineError::Configuration(format!(
                "PostgreSQL refuses root, and there is no account {}: make one, or name one in engines.account",
                candidates.join(" or ")
            ))),
        }
    }

    /// Whether this account may pass every folder on the way to `path`, and read what is there.
    pub(crate) fn reaches(self, path: &Path) -> bool {
        let allowed = |entry: &Path, need: u32| {
            fs::metadata(entry).is_ok_and(|data| {
                let shift = match () {
                    () if data.uid() == self.uid => 6,
                    () if data.gid() == self.gid => 3,
                    () => 0,
                };
                (data.mode() >> shift) & need == need
            })
        };
        path.ancestors().skip(1).all(|folder| allowed(folder, 0o1)) && (path.is_dir() || allowed(path, 0o5))
    }

    /// Gives one file or folder to this account.
    pub(crate) fn own(self, path: &Path) -> Result<(), EngineError> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .doing(|| format!("give {} to the account of postgres", path.display()))
    }

    /// The ids, for the guard.
    pub(crate) fn ids(self) -> (u32, u32) {
        (Uid::from_raw(self.uid).as_raw(), Gid::from_raw(self.gid).as_raw())
    }
}

/// Where `shelter` is, or would be: `/var/tmp/workos-<hash>`, one for each folder it stands in for.
pub(crate) fn shelter_path(instead_of: &Path) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    let hash = Sha256::digest(instead_of.as_os_str().as_bytes());
    PathBuf::from(format!("/var/tmp/workos-{:02x}{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2], hash[3]))
}

/// A folder of ours below which every account can pass, made if it is not there.
/// Refused when somebody else made it first: `/var/tmp` is open to all.
pub(crate) fn shelter(instead_of: &Path) -> Result<PathBuf, EngineError> {
    let folder = shelter_path(instead_of);
    make_passable(&folder)?;
    let data = fs::symlink_metadata(&folder).doing(|| format!("look at {}", folder.display()))?;
    if !data.is_dir() || data.uid() != Uid::effective().as_raw() {
        return Err(EngineError::Configuration(format!(
            "{} belongs to somebody else: delete it, then start again",
            folder.display()
        )));
    }
    Ok(folder)
}

/// Makes a folder that others may pass but not list (0711), with its parents.
pub(crate) fn make_passable(folder: &Path) -> Result<(), EngineError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(folder)
        .doing(|| format!("make the folder {}", folder.display()))
}

/// The same program where `account` can start it: itself, or a copy of its tree under the shelter.
pub(crate) fn reachable(program: Program, account: Account, copying: impl FnOnce()) -> Result<Program, EngineError> {
    if account.reaches(&program.path) {
        return Ok(program);
    }
    let Some(tree) = program.tree.clone() else {
        return Err(EngineError::Configuration(format!(
            "{} cannot be reached by the account of postgres: make its folders passable (chmod o+x)",
            program.path.display()
        )));
    };
    let target = shelter(&tree)?.join(format!("postgres-{}", program.version));
    if !target.exists() {
        copying();
        tracing::info!(from = %tree.display(), to = %target.display(), "postgres is copied to where its account can reach it");
        let half = target.with_extension(format!("new{}", std::process::id()));
        copy(&tree, &half)?;
        if let Err(error) = fs::rename(&half, &target) {
            let _ = fs::remove_dir_all(&half);
            if !target.exists() {
                return Err(error).doing(|| format!("rename {}", half.display()));
            } // else another process has just made the same copy
        }
    }
    let inner = program.path.strip_prefix(&tree).map_err(|_| {
        EngineError::Configuration(format!("{} is not inside {}", program.path.display(), tree.display()))
    })?;
    Ok(Program { path: target.join(inner), tree: Some(target.clone()), ..program })
}

/// Copies a tree, readable and executable for all.
fn copy(from: &Path, to: &Path) -> Result<(), EngineError> {
    let doing = || format!("copy {} to {}", from.display(), to.display());
    if from.is_dir() {
        fs::create_dir_all(to).doing(doing)?;
        for entry in fs::read_dir(from).doing(doing)? {
            let entry = entry.doing(doing)?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else {
        fs::copy(from, to).doing(doing)?;
    }
    fs::set_permissions(to, Permissions::from_mode(0o755)).doing(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_does_not_reach_below_a_private_folder() {
        let base = std::env::temp_dir().join(format!("workos-account-{}", std::process::id()));
        let inner = base.join("private/inner");
        fs::create_dir_all(&inner).expect("a temporary folder can be made");
        fs::set_permissions(&base, Permissions::from_mode(0o711)).expect("ours");
        let stranger = Account { uid: 65534, gid: 65534 };
        fs::set_permissions(base.join("private"), Permissions::from_mode(0o711)).expect("ours");
        assert!(stranger.reaches(&inner));
        fs::set_permissions(base.join("private"), Permissions::from_mode(0o700)).expect("ours");
        assert!(!stranger.reaches(&inner));
        fs::remove_dir_all(&base).expect("ours");
    }

    #[test]
    fn an_account_that_is_not_there_is_refused_with_the_remedy() {
        let error = Account::choose(Some("no-such-account")).expect_err("it is not there");
        assert!(error.to_string().contains("engines.account"), "{error}");
        assert_eq!(error.exit_code(), 78);
    }
}
