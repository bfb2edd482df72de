//! FieldMask between its JSON string and its paths: `title,subField.b` is `title` and `sub_field.b`.

use super::Expected;

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

/// Appends a path in JSON spelling; `None` if it would not come back the same.
pub(crate) fn camel_into(path: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut raise = false;
    for letter in path {
        match letter {
            b'_' if !raise => {
                raise = true;
                continue;
            }
            b'a'..=b'z' if raise => out.push(letter.to_ascii_uppercase()),
            // A quote, a control character or a backslash has no place in a field's name either.
            b'_' | b'A'..=b'Z' | b'"' | b'\\' | 0..0x20 => return None,
            _ if raise => return None,
            _ => out.push(*letter),
        }
        raise = false;
    }
    (!raise).then_some(())
}
