//! A search as an index engine is asked it, and what it answers. Access stands outside of what the user wrote.
use std::cmp::Reverse;

use api::OrganizationId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Kind, ResourceName, Revision, Tree};

/// A property whose values are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Facet {
    /// `document` or `file`.
    Type,
    /// Media type.
    MediaType,
    /// Folder.
    Folder,
}

impl Facet {
    /// All facets.
    pub const ALL: [Self; 3] = [Self::Type, Self::MediaType, Self::Folder];

    /// The word that stands for it in requests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::MediaType => "media_type",
            Self::Folder => "folder",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|facet| facet.as_str() == word)
    }
}

/// What the user selected; an empty list selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Kinds.
    pub kinds: Vec<Kind>,
    /// Media types.
    pub media_types: Vec<String>,
    /// Full names of folders.
    pub folders: Vec<String>,
}

/// A search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Only of this organization.
    pub organization: OrganizationId,
    /// Only what one of these may find; without any, nothing is found.
    pub principals: Vec<String>,
    /// Nothing of these kinds, whatever is selected: their owner cannot confirm access now.
    pub withheld: Vec<Kind>,
    /// None of these: their owner said that the caller may not see them.
    pub except: Vec<ResourceName>,
    /// What the user wrote.
    pub tree: Tree,
    /// What the user selected.
    pub selection: Selection,
    /// Facets to count. A facet is counted as if nothing were selected of it.
    pub facets: Vec<Facet>,
    /// Only what comes after this place.
    pub after: Option<Position>,
    /// At most this many hits.
    pub limit: usize,
}

/// Place in the order of results: better score first, then later change, then id. No two results have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The score in steps of 1/4096, so that the last bits of a sum do not decide about order.
    pub score: u32,
    /// Last change, in microseconds since 1970.
    pub updated: i64,
    /// The two halves of the id.
    pub id: (u64, u64),
}

impl Position {
    const STEPS: f64 = 4096.0;

    /// The score in steps.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates; scores are not negative"
    )]
    pub fn steps(score: f32) -> u32 {
        (f64::from(score) * Self::STEPS).round() as u32
    }

    /// The score.
    #[must_use]
    pub fn score(&self) -> f64 {
        f64::from(self.score) / Self::STEPS
    }

    fn key(&self) -> (Reverse<u32>, Reverse<i64>, (u64, u64)) {
        (Reverse(self.score), Reverse(self.updated), self.id)
    }
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A piece of text with the places that matched, plain text without markup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Highlight {
    /// `title` or `body`.
    pub field: &'static str,
    /// The piece.
    pub text: String,
    /// Matched bytes of the piece, in order.
    pub ranges: Vec<std::ops::Range<usize>>,
}

/// One hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// What was found.
    pub name: ResourceName,
    /// In which state it was indexed.
    pub revision: Revision,
    /// Where it stands in the order.
    pub position: Position,
    /// Title or file name.
    pub title: String,
    /// Media type.
    pub media_type: String,
    /// Full name of the folder.
    pub folder: String,
    /// Where the query matched, at most 5 pieces.
    pub highlights: Vec<Highlight>,
}

impl Hit {
    /// Last change.
    #[must_use]
    pub fn updated(&self) -> OffsetDateTime {
        let nanos = i128::from(self.position.updated) * 1000;
        OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// Counts of one facet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacetCounts {
    /// Which.
    pub facet: Facet,
    /// The most frequent values, at most 20; equal ones by value.
    pub values: Vec<(String, u64)>,
    /// How many results have a value that is not listed.
    pub other: u64,
}

/// What an index engine found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Best first.
    pub hits: Vec<Hit>,
    /// More follow.
    pub more: bool,
    /// How many there are, on all pages.
    pub total: u64,
    /// One for each facet that was asked for.
    pub facets: Vec<FacetCounts>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_then_the_newer_then_the_smaller_id_comes_first() {
        let place = |score, updated| Position { score, updated, id: (0, 0) };
        let mut places = [place(1, 9), place(2, 1), place(2, 5)];
        places.sort();
        assert_eq!(places, [place(2, 5), place(2, 1), place(1, 9)]);
        assert_eq!(Position::steps(1.5), 6144);
        assert!((place(6144, 0).score() - 1.5).abs() < f64::EPSILON);
    }
}
