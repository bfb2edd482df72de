//! Streams that a client can take up again where it was: by a field of the request, or by the header that browsers send.
use tonic::metadata::MetadataMap;

use crate::Error;

/// Where a browser that connects again says which event it has seen last.
const LAST_EVENT_ID: &str = "last-event-id";

/// Reads where a stream begins; `None` is from now on. What the header says goes before the request, because a browser that
/// connects again repeats the address it began with.
///
/// # Errors
/// The header or the field is no position.
pub fn stream_after(metadata: &MetadataMap, after_sequence: Option<i64>) -> Result<Option<i64>, Error> {
    if let Some(last) = metadata.get(LAST_EVENT_ID).filter(|last| !last.is_empty()) {
        let last = last.to_str().ok().and_then(|last| last.parse().ok()).filter(|last| *last >= 0);
        let wrong = "must be the id of an event of this stream; leave it out to use after_sequence";
        return last.map(Some).ok_or_else(|| Error::invalid_field(LAST_EVENT_ID, wrong));
    }
    match after_sequence {
        None | Some(-1) => Ok(None),
        Some(after) if after >= 0 => Ok(Some(after)),
        Some(_) => {
            Err(Error::invalid_field("after_sequence", "must be a sequence, 0 for the beginning, or -1 for now"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(header: Option<&str>, sequence: Option<i64>) -> Result<Option<i64>, String> {
        let mut metadata = MetadataMap::new();
        if let Some(header) = header {
            metadata.insert(LAST_EVENT_ID, header.parse().expect("ASCII"));
        }
        stream_after(&metadata, sequence).map_err(|error| error.reason().to_owned())
    }

    #[test]
    fn a_stream_begins_where_the_header_or_else_the_request_says() {
        assert_eq!(after(None, None), Ok(None));
        assert_eq!(after(None, Some(-1)), Ok(None));
        assert_eq!(after(None, Some(0)), Ok(Some(0)));
        assert_eq!(after(Some("7"), Some(0)), Ok(Some(7)));
        assert_eq!(after(Some(""), Some(3)), Ok(Some(3)));
        for (header, sequence) in
            [(None, Some(-2)), (Some("x"), None), (Some("-1"), Some(0)), (Some("99999999999999999999"), None)]
        {
            assert_eq!(after(header, sequence), Err("FIELD_INVALID".to_owned()), "{header:?} {sequence:?}");
        }
    }
}
