//! Update masks (AIP-134).
//!
//! Absent means the populated fields, `*` means all, an unknown path is refused by name, an output-only path is ignored.
use std::collections::BTreeSet;

use prost_types::FieldMask;

use crate::{CommonReason, Error};

/// The fields that an update changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask(BTreeSet<String>);

impl Mask {
    /// Reads a mask. `allowed` are the fields that can be changed, `ignored` output-only ones, `populated` those that the
    /// request fills. A path may go below an allowed field whose name ends in `.*` in `allowed`.
    ///
    /// # Errors
    /// MASK_INVALID naming the path.
    pub fn parse(
        mask: Option<&FieldMask>,
        allowed: &[&str],
        ignored: &[&str],
        populated: &[&str],
    ) -> Result<Self, Error> {
        let paths = match mask {
            Some(mask) if !mask.paths.is_empty() => &mask.paths,
            _ => return Ok(Self(populated.iter().map(|path| (*path).to_owned()).collect())),
        };
        let mut fields = BTreeSet::new();
        for path in paths {
            if path == "*" {
                fields.extend(allowed.iter().map(|field| field.trim_end_matches(".*").to_owned()));
            } else if allowed.iter().any(|field| covers(field, path)) {
                fields.insert(path.clone());
            } else if !ignored.iter().any(|field| field == path || path.starts_with(&format!("{field}."))) {
                return Err(unknown(path, allowed));
            }
        }
        Ok(Self(fields))
    }

    /// The mask names the field or something below it.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.0.iter().any(|path| path == field || path.strip_prefix(field).is_some_and(|rest| rest.starts_with('.')))
    }

    /// The paths below a field, without its name; empty when the mask names the field as a whole.
    #[must_use]
    pub fn below<'a>(&'a self, field: &str) -> Vec<&'a str> {
        if self.0.contains(field) {
            return Vec::new();
        }
        self.0.iter().filter_map(|path| path.strip_prefix(field)?.strip_prefix('.')).collect()
    }

    /// The mask changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The paths in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

fn covers(allowed: &str, path: &str) -> bool {
    match allowed.strip_suffix(".*") {
        Some(field) => {
            path == field || path.strip_prefix(field).is_some_and(|rest| rest.starts_with('.') && rest.len() > 1)
        }
        None => allowed == path,
    }
}

fn unknown(path: &str, allowed: &[&str]) -> Error {
    let shown: String = path.chars().filter(|letter| !letter.is_control()).take(128).collect();
    let fields = allowed.iter().map(|field| field.trim_end_matches(".*")).collect::<Vec<_>>().join(", ");
    Error::invalid(
        CommonReason::MaskInvalid,
        format!("update_mask names {shown:?}; the fields that can be changed are {fields}"),
    )
    .violation("update_mask", format!("{shown:?} is not a field that can be changed"))
    .with("path", shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(paths: &[&str]) -> Result<Mask, Error> {
        let mask = FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
        Mask::parse(Some(&mask), &["title", "metadata.*"], &["create_time"], &["title"])
    }

    #[test]
    fn an_absent_mask_means_the_populated_fields() {
        assert!(parse(&[]).expect("valid").has("title"));
        assert!(!parse(&[]).expect("valid").has("metadata"));
    }

    #[test]
    fn a_star_means_every_field() {
        let mask = parse(&["*"]).expect("valid");
        assert!(mask.has("title") && mask.has("metadata") && mask.below("metadata").is_empty());
    }

    #[test]
    fn an_unknown_path_is_named_and_an_output_only_one_ignored() {
        assert!(parse(&["create_time"]).expect("valid").is_empty());
        let error = parse(&["titel"]).expect_err("unknown");
        assert!(error.message().contains("titel"));
        assert!(parse(&["title.x"]).is_err());
        assert!(parse(&["metadata."]).is_err());
    }

    #[test]
    fn paths_go_below_metadata() {
        assert_eq!(parse(&["metadata.a.b"]).expect("valid").below("metadata"), ["a.b"]);
    }
}
