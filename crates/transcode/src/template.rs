//! The grammar of path templates and its parser.
//!
//! ```text
//! template = "/" segment { "/" segment } [ ":" verb ]
//! segment  = "*" | "**" | literal | variable
//! variable = "{" field { "." field } [ "=" segment { "/" segment } ] "}"
//! ```
//!
//! A parsed template has at most one `**`, followed only by literals, and its variables cover whole
//! segments and hold neither a variable nor a verb. Whether the fields exist is decided in `binding`.

use std::fmt;

use crate::percent;

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Segment {
    /// `*`: exactly one segment.
    Star,
    /// `**`: any number of segments.
    Deep,
    /// The segment in the form literals are compared in, see [`percent::literal`].
    Literal(String),
}

/// A variable and the segments it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    /// The names of its field path, at least one.
    pub(crate) field: Vec<String>,
    /// Index of its first segment.
    pub(crate) start: usize,
    /// How many segments of the template it covers, at least one.
    pub(crate) len: usize,
}

/// A parsed path template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) segments: Vec<Segment>,
    pub(crate) variables: Vec<Variable>,
    pub(crate) verb: Option<String>,
}

/// Why a template was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) problem: String,
    pub(crate) remedy: String,
}

impl Refusal {
    fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }
}

impl Template {
    /// Parses `text`; never panics.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let rest = text
            .strip_prefix('/')
            .ok_or_else(|| Refusal::new("the template does not begin with `/`", "write it as `/v1/...`"))?;
        let (path, verb) = split_verb(rest)?;
        let mut template = Self {
            segments: Vec::new(),
            variables: Vec::new(),
            verb: verb.map(|verb| literal(verb, true)).transpose()?,
        };
        for part in split_segments(path)? {
            template.push(part)?;
        }
        template.check_deep()?;
        Ok(template)
    }

    /// Index of the `**`, if there is one.
    pub(crate) fn deep(&self) -> Option<usize> {
        self.segments.iter().position(|segment| *segment == Segment::Deep)
    }

    fn push(&mut self, part: &str) -> Result<(), Refusal> {
        let Some(inner) = part.strip_prefix('{') else {
            self.segments.push(segment(part)?);
            return Ok(());
        };
        let Some(inner) = inner.strip_suffix('}') else {
            return Err(Refusal::new(
                format!("the variable in `{part}` is not closed, or text follows it in the same segment"),
                "let the variable cover whole segments: `{name}` or `{name=a/*}`",
            ));
        };
        let (field, pattern) = inner.split_once('=').unwrap_or((inner, "*"));
        let field: Vec<String> = field.split('.').map(str::to_owned).collect();
        if let Some(name) = field.iter().find(|name| !is_identifier(name)) {
            return Err(Refusal::new(
                format!("`{name}` in `{part}` is not a field name"),
                "name a field path of the request, such as `{document.name}`",
            ));
        }
        let start = self.segments.len();
        for piece in pattern.split('/') {
            self.segments.push(segment(piece)?);
        }
        if self.variables.iter().any(|variable| variable.field == field) {
            return Err(Refusal::new(
                format!("the field `{}` is bound twice", field.join(".")),
                "bind each field in one variable only",
            ));
        }
        let len = self.segments.len() - start;
        self.variables.push(Variable { field, start, len });
        Ok(())
    }

    fn check_deep(&self) -> Result<(), Refusal> {
        let Some(deep) = self.deep() else {
            return Ok(());
        };
        let literals_only = self.segments[deep + 1..].iter().all(|segment| matches!(segment, Segment::Literal(_)));
        if literals_only {
            return Ok(());
        }
        Err(Refusal::new(
            "`**` is followed by a wildcard",
            "use `**` once and let only literals and the verb follow it",
        ))
    }
}

/// Splits the verb off: the first colon outside braces in the last segment begins it.
fn split_verb(path: &str) -> Result<(&str, Option<&str>), Refusal> {
    let mut inside = false;
    for (at, byte) in path.bytes().enumerate() {
        match byte {
            b'{' => inside = true,
            b'}' => inside = false,
            b':' if !inside => {
                let verb = &path[at + 1..];
                if verb.contains('/') {
                    return Err(Refusal::new(
                        "a `:` stands before the last segment",
                        "only the last segment may carry a verb; write `%3A` for a literal colon",
                    ));
                }
                return Ok((&path[..at], Some(verb)));
            }
            _ => {}
        }
    }
    Ok((path, None))
}

/// Splits at the slashes that stand outside braces.
fn split_segments(path: &str) -> Result<Vec<&str>, Refusal> {
    let (mut parts, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, byte) in path.bytes().enumerate() {
        match byte {
            b'{' if inside => {
                return Err(Refusal::new(
                    "a variable stands inside a variable",
                    "bind nested fields by their path: `{a.b=...}`",
                ));
            }
            b'{' => inside = true,
            b'}' => inside = false,
            b'/' if !inside => {
                parts.push(&path[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&path[start..]);
    Ok(parts)
}

fn segment(text: &str) -> Result<Segment, Refusal> {
    match text {
        "*" => Ok(Segment::Star),
        "**" => Ok(Segment::Deep),
        _ => literal(text, false).map(Segment::Literal),
    }
}

/// Checks a literal segment or verb and brings it into the form literals are compared in.
fn literal(text: &str, verb: bool) -> Result<String, Refusal> {
    if text.is_empty() {
        return Err(Refusal::new(
            "a segment or the verb is empty",
            "remove the doubled or trailing `/`, or the `:` without a verb",
        ));
    }
    if text == "." || text == ".." {
        return Err(Refusal::new(
            format!("`{text}` is a dot segment, which no request path may hold"),
            "name the segment differently",
        ));
    }
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || b"-._~%!$&'()+,;=@".contains(&byte)
            || !byte.is_ascii()
            || (verb && byte == b':')
    };
    if let Some(bad) = text.bytes().find(|byte| !allowed(*byte)) {
        return Err(Refusal::new(
            format!("`{}` cannot stand in the literal `{text}`", char::from(bad)),
            "wildcards and variables cover whole segments; percent-encode other characters",
        ));
    }
    if percent::all(text).is_err() {
        return Err(Refusal::new(
            format!("`{text}` holds a malformed percent escape"),
            "write two hexadecimal digits after `%`",
        ));
    }
    Ok(percent::literal(text).into_owned())
}

fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl fmt::Display for Template {
    /// The shape: what the template matches, without its variables.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Star => formatter.write_str("/*")?,
                Segment::Deep => formatter.write_str("/**")?,
                Segment::Literal(text) => write!(formatter, "/{text}")?,
            }
        }
        match &self.verb {
            Some(verb) => write!(formatter, ":{verb}"),
            None => Ok(()),
        }
    }
}
