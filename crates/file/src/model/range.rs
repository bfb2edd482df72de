//! Byte ranges and conditions of a download (RFC 9110 sections 13 and 14).
use crate::error::Error;

/// What the reader asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// `Range`.
    pub(crate) range: Option<String>,
    /// `If-Range`.
    pub(crate) if_range: Option<String>,
    /// `If-None-Match`.
    pub(crate) if_none_match: Option<String>,
}

/// Bytes from `start`, `length` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// First byte.
    pub(crate) start: i64,
    /// Number of bytes.
    pub(crate) length: i64,
}

/// What the reader gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// He has it already.
    Nothing,
    /// All of it.
    Whole,
    /// One range.
    Part(Span),
}

impl Asked {
    /// Decides for a file of `size` bytes with this etag. Several ranges, and units other than bytes, give the whole.
    pub(crate) fn of(&self, size: i64, tag: &str) -> Result<Wanted, Error> {
        let same = |list: &str| {
            list.split(',').any(|known| known.trim().trim_start_matches("W/") == tag || known.trim() == "*")
        };
        if self.if_none_match.as_deref().is_some_and(same) {
            return Ok(Wanted::Nothing);
        }
        let current = self.if_range.as_deref().is_none_or(|known| known.trim() == tag);
        match self.range.as_deref().filter(|_| current).and_then(parse) {
            None => Ok(Wanted::Whole),
            Some(range) => range.within(size).map(Wanted::Part).ok_or(Error::RangeUnsatisfiable { size }),
        }
    }
}

#[derive(Clone, Copy)]
enum Range {
    From(i64, Option<i64>),
    Last(i64),
}

impl Range {
    fn within(self, size: i64) -> Option<Span> {
        match self {
            Self::From(start, end) if start < size => {
                let end = end.map_or(size, |end| end.saturating_add(1).min(size));
                Some(Span { start, length: end - start })
            }
            Self::Last(count) if count > 0 && size > 0 => {
                let length = count.min(size);
                Some(Span { start: size - length, length })
            }
            _ => None,
        }
    }
}

/// One `bytes=` range; anything else is ignored, as the RFC allows.
fn parse(text: &str) -> Option<Range> {
    let (first, last) = {
        let (unit, range) = text.trim().split_once('=')?;
        unit.eq_ignore_ascii_case("bytes").then_some(range)?.split_once('-')?
    };
    // A number that no file reaches is as good as the largest one.
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| digits(text).then(|| text.parse::<i64>().unwrap_or(i64::MAX));
    match (first.trim(), last.trim()) {
        ("", last) => number(last).map(Range::Last),
        (first, "") => number(first).map(|first| Range::From(first, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Range::From(first, Some(last)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(range: &str, size: i64) -> Result<Wanted, Error> {
        Asked { range: Some(range.to_owned()), ..Asked::default() }.of(size, "\"t\"")
    }

    #[test]
    fn one_range_is_cut_to_the_file() {
        let part = |start, length| Wanted::Part(Span { start, length });
        assert_eq!(ask("bytes=0-3", 10).expect("valid"), part(0, 4));
        assert_eq!(ask("bytes=4-", 10).expect("valid"), part(4, 6));
        assert_eq!(ask("bytes=-3", 10).expect("valid"), part(7, 3));
        assert_eq!(ask("bytes=5-99", 10).expect("valid"), part(5, 5));
        assert_eq!(ask("bytes=-99", 10).expect("valid"), part(0, 10));
        assert_eq!(ask("Bytes=2-99999999999999999999", 10).expect("valid"), part(2, 8));
        for whole in ["bytes=0-1,3-4", "lines=1-2", "bytes=5-2", "bytes=a-b", "bytes=-", "0-1"] {
            assert_eq!(ask(whole, 10).expect("ignored"), Wanted::Whole, "{whole}");
        }
        for outside in ["bytes=10-", "bytes=-0", "bytes=99999999999999999999-"] {
            assert!(ask(outside, 10).is_err(), "{outside}");
        }
        assert!(ask("bytes=0-", 0).is_err());
    }

    #[test]
    fn conditions_come_before_ranges() {
        let asked = Asked {
            if_none_match: Some("\"x\", W/\"t\"".to_owned()),
            range: Some("bytes=0-1".to_owned()),
            ..Asked::default()
        };
        assert_eq!(asked.of(10, "\"t\"").expect("valid"), Wanted::Nothing);
        let changed =
            Asked { if_range: Some("\"old\"".to_owned()), range: Some("bytes=0-1".to_owned()), ..Asked::default() };
        assert_eq!(changed.of(10, "\"t\"").expect("valid"), Wanted::Whole);
    }
}
