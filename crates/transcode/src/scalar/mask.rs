//! FieldMask between its JSON string and its paths: `title,subField.b` is `title` and `sub_field.b`.

use super::Expected;
use crate::ink::Ink;

/// The paths in proto spelling.
pub(super) fn parse(text: &str) -> Result<Vec<String>, Expected> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(path).collect()
}

fn path(text: &str) -> Result<String, Expected> {
    let mut path = String::with_capacity(text.len() + 4);
    for (index, name) in text.split('.').enumerate() {
        if index > 0 {
            path.push('.');
        }
        snake(name, &mut path).ok_or_else(|| {
            format!(
                "`{}` is no path of a field mask; write field names in lowerCamelCase, separated by commas, such as `title,subField.b`",
                crate::name::shown(text)
            )
        })?;
    }
    Ok(path)
}

/// A name in snake case. Underscores are refused, because they would not come back.
fn snake(name: &str, path: &mut String) -> Option<()> {
    if name == "*" {
        path.push('*');
        return Some(());
    }
    if name.is_empty() {
        return None;
    }
    for letter in name.chars() {
        match letter {
            'A'..='Z' => {
                path.push('_');
                path.push(letter.to_ascii_lowercase());
            }
            'a'..='z' | '0'..='9' => path.push(letter),
            _ => return None,
        }
    }
    Some(())
}

/// Appends a path in JSON spelling; `None` if it would not come back the same: what [`path`] never gives has none.
pub(crate) fn camel_into(path: &[u8], out: &mut Ink) -> Option<()> {
    for (index, name) in path.split(|byte| *byte == b'.').enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        if name == b"*" {
            out.push(b'*');
        } else {
            camel(name, out)?;
        }
    }
    Some(())
}

fn camel(name: &[u8], out: &mut Ink) -> Option<()> {
    let mut raise = false;
    for letter in name {
        match letter {
            b'_' if !raise => {
                raise = true;
                continue;
            }
            b'a'..=b'z' if raise => out.push(letter.to_ascii_uppercase()),
            b'a'..=b'z' | b'0'..=b'9' if !raise => out.push(*letter),
            _ => return None,
        }
        raise = false;
    }
    (!raise && !name.is_empty()).then_some(())
}
