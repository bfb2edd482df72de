//! One Rust file as the rules read it: its text, the text with comments and strings blanked, `use` paths, functions.
use std::path::{Path, PathBuf};

/// A Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the root of the workspace.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// `text` with every comment and the inside of every literal replaced by blanks; same length in lines.
    pub(crate) code: String,
}

/// A function: its name and its lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Line of the keyword `fn`, from 1.
    pub(crate) line: usize,
    /// Lines from `fn` to the closing brace.
    pub(crate) lines: usize,
    /// The signature, from `fn` to the brace.
    pub(crate) signature: String,
}

impl Source {
    /// Reads a file; `None` when there is none.
    pub(crate) fn read(root: &Path, path: &Path) -> Option<Source> {
        let text = std::fs::read_to_string(path).ok()?;
        Some(Source::new(path.strip_prefix(root).unwrap_or(path).to_owned(), text))
    }

    pub(crate) fn new(path: PathBuf, text: String) -> Source {
        let code = blank(&text);
        Source { path, text, code }
    }

    pub(crate) fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    pub(crate) fn stem(&self) -> &str {
        self.path.file_stem().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// The file belongs to tests as a whole.
    pub(crate) fn is_test(&self) -> bool {
        self.stem() == "tests"
            || self.path.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "benches")))
    }

    /// Line from which the rest of the file is `#[cfg(test)] mod tests { ... }`; the line after the last when there is none.
    pub(crate) fn first_test_line(&self) -> usize {
        if self.is_test() {
            return 1;
        }
        let lines: Vec<_> = self.code.lines().collect();
        let begins = |index: &usize| {
            lines[*index].trim() == "#[cfg(test)]"
                && lines[index + 1..]
                    .iter()
                    .find(|line| !line.trim().starts_with("#["))
                    .is_some_and(|line| line.trim().starts_with("mod ") && line.contains('{'))
        };
        (0..lines.len()).find(begins).map_or(lines.len() + 1, |index| index + 1)
    }

    /// Lines of code with their numbers, from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Lines of production code.
    pub(crate) fn production(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.first_test_line();
        self.lines().take_while(move |(line, _)| *line < end)
    }

    /// Whether one of the few lines before says why a ban does not hold here.
    pub(crate) fn is_excused(&self, line: usize, lint: &str) -> bool {
        let lines: Vec<_> = self.text.lines().collect();
        let before = lines[line.saturating_sub(80)..line.min(lines.len())].concat();
        before
            .split("#[expect(")
            .skip(1)
            .any(|attribute| attribute.split(')').next().is_some_and(|inside| inside.contains(lint)))
    }

    /// Lines within a `macro_rules!`, where an `expect` would go unfulfilled in some expansions.
    pub(crate) fn is_in_macro(&self, line: usize) -> bool {
        let mut offset = 0;
        while let Some(start) = self.code[offset..].find("macro_rules!").map(|start| start + offset) {
            let open = self.code[start..].find('{').map_or(self.code.len(), |open| start + open);
            let end = closing(&self.code[open..]).map_or(self.code.len(), |length| open + length);
            let first = self.code[..start].matches('\n').count() + 1;
            if (first..=first + self.code[start..end].matches('\n').count()).contains(&line) {
                return true;
            }
            offset = end;
        }
        false
    }

    /// Every path that a `use` declaration names, flattened, with its line.
    pub(crate) fn uses(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let mut offset = 0;
        while let Some(start) = find_word(&self.code[offset..], "use").map(|start| start + offset) {
            let rest = &self.code[start + 3..];
            let end = rest.find(';').unwrap_or(rest.len());
            if rest[..end].starts_with(char::is_whitespace) && !rest[..end].contains("fn ") {
                let line = self.code[..start].matches('\n').count() + 1;
                flatten("", &rest[..end], &mut |path| found.push((line, path)));
            }
            offset = start + 3 + end;
        }
        found
    }

    /// All functions with a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        let mut offset = 0;
        while let Some(start) = find_word(&self.code[offset..], "fn").map(|start| start + offset) {
            offset = start + 2;
            let rest = &self.code[start..];
            let name: String =
                rest[2..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let Some(open) = body(rest).filter(|_| !name.is_empty()) else { continue };
            let length = closing(&rest[open..]).map_or(rest.len(), |length| open + length);
            let line = self.code[..start].matches('\n').count() + 1;
            let lines = rest[..length].matches('\n').count() + 1;
            found.push(Function { name, line, lines, signature: rest[..open].to_owned() });
        }
        found
    }
}

/// Whether `line` mentions `path` as whole segments: `tokio::spawn` in `::tokio::spawn(`, not in `my_tokio::spawner`.
pub(crate) fn mentions(line: &str, path: &str) -> bool {
    find_word(line, path).is_some()
}

fn find_word(text: &str, word: &str) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let mut offset = 0;
    while let Some(start) = text[offset..].find(word).map(|start| start + offset) {
        let before = text[..start].chars().next_back().is_some_and(part);
        let after = word.ends_with(part) && text[start + word.len()..].chars().next().is_some_and(part);
        if !before && !after {
            return Some(start);
        }
        offset = start + word.len();
    }
    None
}

/// Offset of the brace that opens the body of a function, `None` for a declaration without one.
fn body(text: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (offset, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ';' if depth == 0 => return None,
            '{' if depth == 0 => return Some(offset),
            _ => {}
        }
    }
    None
}

/// Offset just after the brace that closes the one at the start.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (offset, c) in text.char_indices() {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if depth == 0 {
            return Some(offset + 1);
        }
    }
    None
}

fn flatten(prefix: &str, text: &str, found: &mut impl FnMut(String)) {
    let mut depth = 0_i32;
    let mut start = 0;
    let ends = text.char_indices().chain([(text.len(), ',')]);
    for (offset, c) in ends {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if c == ',' && depth == 0 {
            let item = text[start..offset].trim();
            match item.split_once('{') {
                Some((head, tail)) => flatten(
                    &format!("{prefix}{}", head.trim()),
                    tail.trim_end().strip_suffix('}').unwrap_or(tail),
                    found,
                ),
                None if !item.is_empty() => {
                    let path = item.split_whitespace().next().unwrap_or_default();
                    found(format!("{prefix}{path}").trim_start_matches("::").to_owned());
                }
                None => {}
            }
            start = offset + 1;
        }
    }
}

/// Replaces comments and the inside of literals by blanks, keeping every newline.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let next = chars.get(at + 1).copied();
        let end = match chars[at] {
            '/' if next == Some('/') => line_end(&chars, at),
            '/' if next == Some('*') => block_end(&chars, at),
            '"' => string_end(&chars, at + 1),
            'r' if raw_hashes(&chars, at).is_some() => raw_end(&chars, at, raw_hashes(&chars, at).unwrap_or_default()),
            '\'' if next == Some('\\') => {
                chars[at + 3..].iter().position(|c| *c == '\'').map_or(chars.len(), |end| at + 4 + end)
            }
            '\'' if chars.get(at + 2) == Some(&'\'') => at + 3,
            c => {
                code.push(c);
                at += 1;
                continue;
            }
        };
        let end = end.min(chars.len());
        code.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    code
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |end| at + end)
}

fn block_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut at = at;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Number of hashes of a raw string that begins here.
fn raw_hashes(chars: &[char], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).map(|before| chars[before]);
    if before.is_some_and(|c| c.is_alphanumeric() && c != 'b' || c == '_') {
        return None;
    }
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    (chars.get(at + 1 + hashes) == Some(&'"')).then_some(hashes)
}

fn raw_end(chars: &[char], at: usize, hashes: usize) -> usize {
    let mut at = at + 2 + hashes;
    while at < chars.len() {
        if chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    at
}
