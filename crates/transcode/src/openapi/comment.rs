//! The comments of the contract, by file and place.

use std::collections::HashMap;

use prost::Message;
use prost_reflect::{FileDescriptor, prost_types::FileDescriptorSet};

/// Leading comments per file name and descriptor path.
pub(super) struct Comments(HashMap<(String, Vec<i32>), String>);

impl Comments {
    /// Reads the source information that the compiler left in the set; without it there are no comments.
    pub(super) fn read(set: &[u8]) -> Self {
        let mut comments = HashMap::new();
        // A pool was made of it, so it can be decoded.
        for file in FileDescriptorSet::decode(set).unwrap_or_default().file {
            let name = file.name.unwrap_or_default();
            for location in file.source_code_info.unwrap_or_default().location {
                if let Some(text) = location.leading_comments.as_deref() {
                    comments.insert((name.clone(), location.path), tidy(text));
                }
            }
        }
        Self(comments)
    }

    /// The comment at a place, empty if there is none.
    pub(super) fn of(&self, file: &FileDescriptor, path: &[i32]) -> String {
        let key = (file.name().to_owned(), path.to_vec());
        self.0.get(&key).cloned().unwrap_or_default()
    }
}

/// Removes the space behind each `//`.
fn tidy(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    lines.join("\n")
}
