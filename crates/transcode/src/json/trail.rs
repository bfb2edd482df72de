//! The JSON path of a byte, found when something is wrong there: the pass itself keeps none.

use crate::name;

/// One open object or array and where in it we are.
enum Step<'a> {
    /// The raw text of the key, if its value has begun.
    Key(Option<&'a [u8]>),
    /// The index of the element, if one has begun.
    Index(usize, bool),
}

/// `a.b[2].c` for the value or key at `at`; everything before it is well-formed.
pub(crate) fn path(body: &[u8], at: usize) -> String {
    let mut steps: Vec<Step<'_>> = Vec::new();
    let mut here = 0;
    while let Some(byte) = body.get(here).filter(|_| here <= at) {
        here += 1;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => continue,
            b'{' => {
                begin(&mut steps);
                steps.push(Step::Key(None));
            }
            b'[' => {
                begin(&mut steps);
                steps.push(Step::Index(0, false));
            }
            b'}' | b']' => {
                steps.pop();
            }
            b',' => match steps.last_mut() {
                Some(Step::Key(key)) => *key = None,
                Some(Step::Index(index, begun)) => (*index, *begun) = (*index + 1, false),
                None => {}
            },
            b'"' => {
                let end = string_end(body, here);
                if let Some(Step::Key(key @ None)) = steps.last_mut() {
                    let colon = body.get(end..).and_then(|rest| rest.iter().position(|byte| *byte == b':'));
                    let Some(colon) = colon.filter(|colon| end + colon < at) else {
                        break;
                    };
                    *key = body.get(here..end.saturating_sub(1));
                    here = end + colon + 1;
                    continue;
                }
                begin(&mut steps);
                here = end;
            }
            _ => {
                begin(&mut steps);
                let rest = body.get(here..).unwrap_or_default();
                let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
                here += rest.iter().position(ends).unwrap_or(rest.len());
            }
        }
        // The value has ended before the place: what is wrong is wrong behind it.
        if here <= at && !matches!(byte, b'{' | b'[' | b',') {
            end(&mut steps);
        }
    }
    shown(&steps)
}

fn begin(steps: &mut [Step<'_>]) {
    if let Some(Step::Index(_, begun)) = steps.last_mut() {
        *begun = true;
    }
}

/// Leaves the value that has just been passed.
fn end(steps: &mut [Step<'_>]) {
    match steps.last_mut() {
        Some(Step::Key(key)) => *key = None,
        Some(Step::Index(_, begun)) => *begun = false,
        None => {}
    }
}

/// The byte behind the closing quote of the string whose content begins at `from`.
fn string_end(body: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(byte) = body.get(at) {
        at += match byte {
            b'"' => return at + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    body.len()
}

fn shown(steps: &[Step<'_>]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Index(index, true) => path.push_str(&format!("[{index}]")),
            Step::Key(Some(key)) => {
                if !path.is_empty() {
                    path.push('.');
                }
                let quoted = [b"\"", *key, b"\""].concat();
                let key = serde_json::from_slice(&quoted).unwrap_or_else(|_| String::from_utf8_lossy(key).into_owned());
                path.push_str(&name::shown(&key));
            }
            Step::Index(_, false) | Step::Key(None) => {}
        }
    }
    path
}
