//! `Accept` with its weights: which form of stream a caller wants, and whether he takes a message at all.

use super::Form;
use crate::problem::{Problem, code};
use crate::response::Alt;

/// Media ranges that are looked at; more are ignored.
const MAX_RANGES: usize = 64;

/// What can be offered, in the order a tie is decided.
const OFFERS: [(&str, Form); 4] = [
    ("application/json", Form::JsonArray),
    ("application/x-ndjson", Form::NdJson),
    ("application/ndjson", Form::NdJson),
    ("text/event-stream", Form::Sse),
];

/// Chooses the form: `$alt=sse` and `$alt=json` before `Accept`, without both a JSON array.
///
/// # Errors
/// 406 when nothing that is accepted can be offered.
pub fn negotiate(accept: Option<&str>, alt: Option<Alt>) -> Result<Form, Problem> {
    match alt {
        Some(Alt::Sse) => return Ok(Form::Sse),
        Some(Alt::Json) => return Ok(Form::JsonArray),
        _ => {}
    }
    let Some(ranges) = ranges(accept) else { return Ok(Form::JsonArray) };
    let mut best: Option<(u16, Form)> = None;
    for (media_type, form) in OFFERS {
        let quality = quality(&ranges, media_type);
        if quality > best.map_or(0, |(known, _)| known) {
            best = Some((quality, form));
        }
    }
    best.map(|(_, form)| form).ok_or_else(|| {
        Problem::with(
            406,
            code::INVALID_ARGUMENT,
            "NOT_ACCEPTABLE",
            "This stream can be sent as application/json, application/x-ndjson or text/event-stream; accept one of them.",
        )
    })
}

/// Whether a caller takes an answer of this media type.
///
/// # Errors
/// 406 when he names what he takes and it is not among that.
pub fn accepts(accept: Option<&str>, media_type: &str) -> Result<(), Problem> {
    match ranges(accept) {
        Some(ranges) if quality(&ranges, media_type) == 0 => Err(Problem::with(
            406,
            code::INVALID_ARGUMENT,
            "NOT_ACCEPTABLE",
            format!("The answer is {media_type}; accept that, or leave Accept out."),
        )),
        _ => Ok(()),
    }
}

/// The media ranges; `None` when everything is as good (RFC 9110 section 12.5.1).
fn ranges(accept: Option<&str>) -> Option<Vec<Range>> {
    let accept = accept.filter(|accept| !accept.trim().is_empty() && accept.trim() != "*/*")?;
    Some(accept.split(',').take(MAX_RANGES).filter_map(Range::parse).collect())
}

/// One media range of the header.
struct Range {
    media_type: String,
    /// The weight in thousandths.
    quality: u16,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        let media_type = parts.next()?.trim().to_ascii_lowercase();
        let quality = parts
            .find_map(|part| part.trim().strip_prefix("q=").or_else(|| part.trim().strip_prefix("Q=")))
            .map_or(Some(1.0), |weight| weight.trim().parse::<f32>().ok())?;
        let valid = media_type.contains('/') && (0.0..=1.0).contains(&quality);
        valid.then_some(Self { media_type, quality: (quality * 1000.0) as u16 })
    }

    /// How exactly the range names the type: 3 exact, 2 `type/*`, 1 `*/*`, 0 not at all.
    fn precision(&self, media_type: &str) -> u8 {
        if self.media_type == media_type {
            return 3;
        }
        match self.media_type.strip_suffix("/*") {
            Some("*") => 1,
            Some(family) if media_type.split('/').next() == Some(family) => 2,
            _ => 0,
        }
    }
}

/// The weight of a type: that of the most exact range.
fn quality(ranges: &[Range], media_type: &str) -> u16 {
    ranges
        .iter()
        .map(|range| (range.precision(media_type), range.quality))
        .filter(|(precision, _)| *precision > 0)
        .max()
        .map_or(0, |(_, quality)| quality)
}
