//! Field names as callers write them: lookup in both spellings, and the nearest name for advice.

use prost_reflect::{FieldDescriptor, MessageDescriptor};

/// The field with this JSON name or, failing that, this proto name.
pub(crate) fn field(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name))
}

/// "; did you mean `title`?" for a misspelled field of `message`, else the list of what exists.
pub(crate) fn advice(message: &MessageDescriptor, name: &str) -> String {
    let names: Vec<String> = message.fields().map(|field| field.json_name().to_owned()).collect();
    nearest(&names, name)
}

/// "; did you mean `a`?" if a known name is near, "; known are ..." if they are few, else nothing.
pub(crate) fn nearest(names: &[String], name: &str) -> String {
    // The distance is quadratic in the length: a hostile name gets no advice.
    let near = (name.len() <= 64)
        .then(|| {
            names
                .iter()
                .map(|known| (distance(&known.to_ascii_lowercase(), &name.to_ascii_lowercase()), known))
                .filter(|(distance, known)| *distance <= known.len().div_ceil(3))
                .min_by_key(|(distance, _)| *distance)
        })
        .flatten();
    match near {
        Some((_, known)) => format!("; did you mean `{known}`?"),
        None if names.is_empty() => "; it has no fields".to_owned(),
        None if names.len() <= 12 => format!("; known are {}", names.join(", ")),
        None => String::new(),
    }
}

/// Levenshtein distance in bytes.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

/// A name from a caller, cut so that an error message stays small.
pub(crate) fn shown(name: &str) -> String {
    const LIMIT: usize = 80;
    if name.chars().count() <= LIMIT {
        return name.to_owned();
    }
    let cut: String = name.chars().take(LIMIT).collect();
    format!("{cut}...")
}
