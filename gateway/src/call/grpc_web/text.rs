//! Frames as text: base64 in pieces that are cut anywhere, each of the writer's padded on its own.
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};

use crate::refusal::Refusal;

/// Text that has come whole.
pub(crate) fn whole(text: &[u8]) -> Result<Bytes, Refusal> {
    let mut rest = BytesMut::new();
    let decoded = decode(&mut rest, text)?;
    if rest.is_empty() { Ok(decoded) } else { Err(malformed()) }
}

/// The bytes of a piece of text, after what is left of the pieces before it.
pub(crate) fn decode(rest: &mut BytesMut, piece: &[u8]) -> Result<Bytes, Refusal> {
    rest.extend(piece.iter().filter(|byte| !byte.is_ascii_whitespace()));
    let whole = rest.split_to(rest.len() / 4 * 4);
    let mut out = Vec::with_capacity(whole.len() / 4 * 3);
    let mut begin = 0;
    for end in (4..=whole.len()).step_by(4) {
        if whole[end - 1] == b'=' || end == whole.len() {
            STANDARD.decode_vec(&whole[begin..end], &mut out).map_err(|_| malformed())?;
            begin = end;
        }
    }
    Ok(out.into())
}

/// No base64, or cut within it.
pub(super) fn malformed() -> Refusal {
    let message =
        "the body is no base64; send application/grpc-web-text in base64, or application/grpc-web+proto as it is";
    Refusal::new(400, tonic::Code::InvalidArgument, "MALFORMED_FRAME", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_may_be_cut_anywhere_and_padded_in_between() {
        let text = [STANDARD.encode(b"a"), STANDARD.encode(b"bcdef"), STANDARD.encode(b"ghi")].concat();
        for size in 1..=text.len() {
            let mut rest = BytesMut::new();
            let pieces = text.as_bytes().chunks(size);
            let out: Vec<_> = pieces.flat_map(|piece| decode(&mut rest, piece).expect("it is base64")).collect();
            assert_eq!(out, b"abcdefghi", "cut at {size}");
            assert!(rest.is_empty());
        }
        assert!(decode(&mut BytesMut::new(), b"!!!!").is_err());
    }
}
