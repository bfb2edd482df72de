//! A resource as the index holds it, and the version that orders what is written about it.
use time::OffsetDateTime;

use super::{ResourceName, limit};

/// Which state of a resource a write carries: `epoch << 48 | version`, so that versions used again after a point-in-time
/// restore of the owner still come later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub i64);

impl Revision {
    const EPOCH_SHIFT: u32 = 48;

    /// The same epoch with another version; a version that does not fit is held at the limit.
    #[must_use]
    pub fn with_version(self, version: i64) -> Self {
        let mask = (1 << Self::EPOCH_SHIFT) - 1;
        Self((self.0 & !mask) | version.clamp(0, mask))
    }
}

/// Counts what owners name as readers: an index of another count lacks names that callers go by.
pub(crate) const PRINCIPALS: u32 = 1;

/// Everything that is indexed of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: ResourceName,
    /// The state.
    pub revision: Revision,
    /// Who may find it: users, groups, members, holders of roles, as the owner names them.
    pub principals: Vec<String>,
    /// Title or file name.
    pub title: String,
    /// Plain text, at most 256 KiB.
    pub body: String,
    /// Media type; may be empty.
    pub media_type: String,
    /// Full name of the folder; empty where there is none.
    pub folder: String,
    /// Last change.
    pub updated: OffsetDateTime,
}

/// One write to an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// The resource is so now.
    Put(Box<Entry>),
    /// The resource is not there any more. Its revision stays, so that a late older write cannot bring it back.
    Tombstone(ResourceName, Revision),
}

impl Write {
    /// What it is about.
    #[must_use]
    pub fn name(&self) -> ResourceName {
        match self {
            Self::Put(entry) => entry.name,
            Self::Tombstone(name, _) => *name,
        }
    }

    /// The state it carries.
    #[must_use]
    pub fn revision(&self) -> Revision {
        match self {
            Self::Put(entry) => entry.revision,
            Self::Tombstone(_, revision) => *revision,
        }
    }
}

/// What an owner said about one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// It is there, so.
    There(Box<Entry>),
    /// It is deleted or was never there; the version is 0 when the owner knows nothing of it.
    Gone {
        /// Version of the deleted resource.
        version: i64,
    },
    /// It is there and cannot be indexed.
    Refused {
        /// Its version.
        version: i64,
        /// Why.
        rejection: Rejection,
    },
}

/// Why a resource cannot be indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The owner answered with something else than was asked for.
    AnswerUnusable,
    /// A text is longer than the contract allows.
    TooLarge,
    /// The owner refused to read it, again and again for the same reason.
    Unreadable,
    /// The index engine refused it.
    EngineRefused,
}

impl Rejection {
    /// The word that is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::AnswerUnusable => "ANSWER_UNUSABLE",
            Self::TooLarge => "TOO_LARGE",
            Self::Unreadable => "UNREADABLE",
            Self::EngineRefused => "ENGINE_REFUSED",
        }
    }
}

impl Entry {
    /// Whether it keeps to the limits of the contract, which bound what one resource costs the index.
    ///
    /// # Errors
    /// [`Rejection::TooLarge`].
    pub(crate) fn check(&self) -> Result<(), Rejection> {
        let keywords = [&self.media_type, &self.folder];
        let fits = self.title.len() <= limit::TITLE
            && self.body.len() <= limit::BODY
            && self.principals.len() <= limit::PRINCIPALS
            && self.principals.iter().chain(keywords).all(|keyword| keyword.len() <= limit::KEYWORD);
        if fits { Ok(()) } else { Err(Rejection::TooLarge) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_outweighs_every_version() {
        let (old, new) = (Revision(0), Revision(1 << 48));
        assert!(old.with_version(i64::MAX) < new.with_version(0));
        assert_eq!(new.with_version(7), Revision((1 << 48) + 7));
        assert_eq!(new.with_version(9).with_version(3), Revision((1 << 48) + 3));
    }
}
