//! Configuration as commented TOML.
//!
//! Comments are the `///` lines of the struct's own source: the documentation of a setting is written once, beside it.
use std::collections::BTreeMap;

use toml::{Table, Value};

/// One field as its source says it.
struct Field<'a> {
    name: &'a str,
    kind: &'a str,
    docs: Vec<&'a str>,
}

/// Renders `value`, an instance of the struct `root` of `source`, under the table `path` (empty: top level).
pub(super) fn render(source: &str, root: &str, value: &Table, path: &str) -> String {
    let structs = read(source);
    let mut text = String::new();
    if !path.is_empty() {
        text.push_str(&format!("[{path}]\n"));
    }
    table(&structs, root, value, path, &mut text);
    text
}

fn table(structs: &BTreeMap<&str, Vec<Field<'_>>>, name: &str, value: &Table, path: &str, text: &mut String) {
    let fields = structs.get(name).map(Vec::as_slice).unwrap_or_default();
    let is_table =
        |field: &Field<'_>| structs.contains_key(field.kind) && value.get(field.name).is_some_and(Value::is_table);
    for field in fields.iter().filter(|field| !is_table(field)) {
        comment(field, text);
        text.push_str(&line(field, value.get(field.name), path));
    }
    for field in fields.iter().filter(|field| is_table(field)) {
        let inner = if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
        text.push('\n');
        comment(field, text);
        text.push_str(&format!("[{inner}]\n"));
        if let Some(Value::Table(value)) = value.get(field.name) {
            table(structs, field.kind, value, &inner, text);
        }
    }
}

fn comment(field: &Field<'_>, text: &mut String) {
    for docs in &field.docs {
        text.push_str(&format!("# {docs}\n"));
    }
}

fn line(field: &Field<'_>, value: Option<&Value>, path: &str) -> String {
    let secret = field.kind.starts_with("Secret") || field.kind.ends_with("EngineUrl");
    match value {
        Some(Value::String(text)) if secret && text.is_empty() => {
            let prefix =
                if path.is_empty() { String::new() } else { format!("{}__", path.replace('.', "__").to_uppercase()) };
            format!("# environment WORKOS__{prefix}{}, or {}_file = \"PATH\"\n", field.name.to_uppercase(), field.name)
        }
        Some(value) => format!("{} = {value}\n", field.name),
        None => format!("# {} =\n", field.name),
    }
}

fn read(source: &str) -> BTreeMap<&str, Vec<Field<'_>>> {
    let mut structs = BTreeMap::new();
    let mut current: Option<(&str, Vec<Field<'_>>)> = None;
    let mut docs = Vec::new();
    for line in source.lines() {
        let trimmed = line.trim();
        if let Some(rest) = trimmed
            .strip_prefix("pub struct ")
            .or_else(|| trimmed.strip_prefix("pub(crate) struct "))
            .or_else(|| trimmed.strip_prefix("pub(super) struct "))
            .filter(|rest| rest.ends_with('{'))
        {
            current = Some((rest.trim_end_matches('{').trim(), Vec::new()));
        } else if line == "}" {
            structs.extend(current.take());
        } else if let Some(text) = trimmed.strip_prefix("///") {
            docs.push(text.trim());
            continue;
        } else if trimmed.starts_with("#[") {
            continue;
        } else if let (Some((_, fields)), Some((name, kind))) = (&mut current, field(trimmed)) {
            fields.push(Field { name, kind, docs: std::mem::take(&mut docs) });
        }
        docs.clear();
    }
    structs
}

fn field(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub "))?;
    let (name, kind) = line.trim_end_matches(',').split_once(':')?;
    // Structs of other crates are told apart by their last segment alone.
    let kind = kind.trim().rsplit("::").next().unwrap_or_default();
    Some((name.trim(), kind))
}
