//! Values that nobody may read: passwords, keys, addresses with a password in them.
//!
//! A secret `password` comes from the environment or from the file named by `password_file`; one that stands in
//! `workos.toml` itself is refused. Its `Debug` and `Serialize` write `***`, so that no log line, page or dump can hold it.
//! A secret from a file follows the file ([`reload`], every ten seconds), because secret stores rotate in place.
use std::{
    cell::RefCell,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
};

use figment::value::{Tag, Value, magic::Tagged};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// What stands where a secret would.
const MASK: &str = "***";
/// Larger files are no secrets.
const MAX_FILE_BYTES: u64 = 64 * 1024;

thread_local! {
    /// Where literal secrets of the extraction under way came from; the loader refuses those from a file.
    static LITERALS: RefCell<Vec<Tag>> = const { RefCell::new(Vec::new()) };
}

/// Secrets that came from files, for [`reload`].
static FILES: Mutex<Vec<(PathBuf, Weak<RwLock<String>>)>> = Mutex::new(Vec::new());

/// A value that is never shown.
#[derive(Clone)]
pub struct Secret<T = String>(Arc<RwLock<T>>);

impl Secret<String> {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(Arc::new(RwLock::new(value.into())))
    }

    /// The value as it is now. Ask again for every use: the file behind it may have changed.
    #[must_use]
    pub fn reveal(&self) -> String {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// No value is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn from_file(path: PathBuf) -> Result<Secret, String> {
        let secret = Secret::new(read(&path)?);
        let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|(_, value)| value.strong_count() > 0);
        files.push((path, Arc::downgrade(&secret.0)));
        Ok(secret)
    }
}

impl Default for Secret<String> {
    fn default() -> Secret {
        Secret::new("")
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret<String> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.is_empty() { "" } else { MASK })
    }
}

impl<'de> Deserialize<'de> for Secret<String> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        let (secret, literal) = read_value(deserializer)?;
        if let Some(tag) = literal {
            LITERALS.with_borrow_mut(|literals| literals.push(tag));
        }
        Ok(secret)
    }
}

/// Address of an engine, which may hold a password: shown with the password masked, and under the rules of a secret when
/// it has one.
#[derive(Clone, Default)]
pub struct EngineUrl(Secret);

impl EngineUrl {
    /// Wraps an address.
    #[must_use]
    pub fn new(url: impl Into<String>) -> EngineUrl {
        EngineUrl(Secret::new(url))
    }

    /// The address with its password.
    #[must_use]
    pub fn reveal(&self) -> String {
        self.0.reveal()
    }

    /// No address is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// User and password written in the address.
    #[must_use]
    pub fn userinfo(&self) -> Option<(String, String)> {
        let url = self.reveal();
        let (user, password) = password_range(&url)?;
        Some((url[user].to_owned(), url[password].to_owned()))
    }

    fn masked(&self) -> String {
        let mut url = self.reveal();
        if let Some((_, password)) = password_range(&url) {
            url.replace_range(password, MASK);
        }
        url
    }
}

impl fmt::Debug for EngineUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl Serialize for EngineUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.masked())
    }
}

impl<'de> Deserialize<'de> for EngineUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EngineUrl, D::Error> {
        let (secret, literal) = read_value(deserializer)?;
        if let Some(tag) = literal.filter(|_| password_range(&secret.reveal()).is_some()) {
            LITERALS.with_borrow_mut(|literals| literals.push(tag));
        }
        Ok(EngineUrl(secret))
    }
}

/// Byte ranges of user and password in `scheme://user:password@host`.
fn password_range(url: &str) -> Option<(std::ops::Range<usize>, std::ops::Range<usize>)> {
    let start = url.find("://")? + 3;
    let authority = url[start..].find(['/', '?', '#']).map_or(url.len(), |end| start + end);
    let at = start + url[start..authority].rfind('@')?;
    let colon = start + url[start..at].find(':')?;
    Some((start..colon, colon + 1..at))
}

/// Reads text or `{file = path}`; for text also where it came from.
fn read_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(Secret, Option<Tag>), D::Error> {
    let tagged = Tagged::<Value>::deserialize(deserializer)?;
    let tag = tagged.tag();
    match tagged.into_inner() {
        Value::String(_, text) if text.is_empty() => Ok((Secret::default(), None)),
        Value::String(_, text) => Ok((Secret::new(text), Some(tag))),
        Value::Dict(_, dict) => match dict.get("file").and_then(Value::as_str) {
            Some(path) => Secret::from_file(PathBuf::from(path)).map(|secret| (secret, None)).map_err(D::Error::custom),
            None => Err(D::Error::custom("a secret is text, or the path of a file under its name with `_file`")),
        },
        _ => Err(D::Error::custom("a secret is text; put a number into quotes: WORKOS__...='\"0123\"'")),
    }
}

fn read(path: &std::path::Path) -> Result<String, String> {
    let size = std::fs::metadata(path)
        .map_err(|error| format!("cannot read the secret file {}: {error}", path.display()))?
        .len();
    if size > MAX_FILE_BYTES {
        return Err(format!("the secret file {} has {size} bytes; at most {MAX_FILE_BYTES} are read", path.display()));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read the secret file {}: {error}", path.display()))?;
    // Editors and `echo` end a file with a newline that is no part of the secret.
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Forgets where earlier secrets came from; call before an extraction.
pub(super) fn forget_literals() {
    LITERALS.with_borrow_mut(Vec::clear);
}

/// Where the literal secrets read since [`forget_literals`] came from.
pub(super) fn literals() -> Vec<Tag> {
    LITERALS.with_borrow_mut(std::mem::take)
}

/// Reads all secret files again; a file that cannot be read keeps its last value. Returns what went wrong.
pub(crate) fn reload() -> Vec<String> {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    files.retain(|(_, value)| value.strong_count() > 0);
    let mut problems = Vec::new();
    for (path, value) in files.iter() {
        match (read(path), value.upgrade()) {
            (Ok(text), Some(value)) => {
                let changed = *value.read().unwrap_or_else(PoisonError::into_inner) != text;
                if changed {
                    *value.write().unwrap_or_else(PoisonError::into_inner) = text;
                }
            }
            (Err(problem), _) => problems.push(problem),
            (_, None) => {}
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_debug_nor_serialization_shows_a_secret() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(serde_json::to_string(&secret).expect("text"), "\"***\"");
        assert_eq!(serde_json::to_string(&Secret::default()).expect("text"), "\"\"");
    }

    #[test]
    fn an_engine_url_hides_its_password_and_nothing_else() {
        let url = EngineUrl::new("postgres://root:p@ss:w@db:5432/workos?a=b");
        assert_eq!(format!("{url:?}"), "postgres://root:***@db:5432/workos?a=b");
        assert_eq!(url.userinfo(), Some(("root".to_owned(), "p@ss:w".to_owned())));
        assert_eq!(format!("{:?}", EngineUrl::new("nats://127.0.0.1:4222/a@b:c")), "nats://127.0.0.1:4222/a@b:c");
        assert_eq!(format!("{:?}", EngineUrl::new("redis://:pw@h:1")), "redis://:***@h:1");
    }
}
