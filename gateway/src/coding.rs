//! Content codings (RFC 9110 section 8.4): gzip, zstd and brotli in, gzip and zstd out.
//!
//! What must hold: a decoder never gives more than its limit and never more than a hundredfold of what it took, so a bomb
//! costs no more memory than an honest body; an encoder that is told to flush holds nothing back.
use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::{GzEncoder, MultiGzDecoder};
use http::{HeaderMap, HeaderName};

/// Most bytes out for each byte in.
const RATIO: u64 = 100;
/// So much may come out in any case: small bodies compress well.
const FLOOR: u64 = 64 * 1024;
/// Bodies and messages below this grow rather than shrink.
pub(crate) const LEAST: u64 = 1024;
/// Input that is decoded at one go.
const STEP: usize = 4 * 1024;
/// Largest zstd window: 8 MiB, as RFC 9659 has it.
const WINDOW_LOG: u32 = 23;
/// Elements of `Accept-Encoding` that are looked at.
const ELEMENTS: usize = 32;
/// What a request may be coded in, for `Accept-Encoding` of a 415.
pub(crate) const READ: &str = "gzip, zstd, br";

/// A coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// RFC 7932; read, never written.
    Brotli,
}

impl Coding {
    /// The coding of this name: `Some(None)` for identity, `None` for one that is not known.
    pub(crate) fn named(name: &str) -> Option<Option<Self>> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(None),
            "gzip" | "x-gzip" => Some(Some(Self::Gzip)),
            "zstd" => Some(Some(Self::Zstd)),
            "br" => Some(Some(Self::Brotli)),
            _ => None,
        }
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Brotli => "br",
        }
    }

    /// What an answer is coded in: the greatest weight of this header, which is `Accept-Encoding` or one like it, of equals zstd.
    /// `None` is identity, which stands when nothing is accepted too: an answer beats 406.
    pub(crate) fn accepted(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let elements: Vec<_> = values.flat_map(|value| value.split(',')).take(ELEMENTS).filter_map(weighted).collect();
        let weight = |name: &str| {
            let exact = elements.iter().find(|(known, _)| known == name);
            let any = || elements.iter().find(|(known, _)| known == "*");
            exact.or_else(any).map_or(0, |(_, weight)| *weight)
        };
        let identity = elements.iter().find(|(known, _)| known == "identity").map_or(0, |(_, weight)| *weight);
        let offers = [(weight("gzip").max(weight("x-gzip")), Self::Gzip), (weight("zstd"), Self::Zstd)];
        let (best, coding) = offers.into_iter().max_by_key(|(weight, _)| *weight)?;
        (best > 0 && best >= identity).then_some(coding)
    }
}

/// `gzip;q=0.5` as name and weight in thousandths.
fn weighted(element: &str) -> Option<(String, u16)> {
    let mut parts = element.split(';');
    let name = parts.next()?.trim().to_ascii_lowercase();
    let weight = parts.find_map(|part| part.trim().to_ascii_lowercase().strip_prefix("q=").map(str::to_owned));
    let weight = weight.map_or(Some(1.0), |weight| weight.trim().parse::<f32>().ok())?;
    (0.0..=1.0).contains(&weight).then_some((name, (weight * 1000.0) as u16))
}

/// Writes one coded body.
pub(crate) enum Encoder {
    /// gzip.
    Gzip(GzEncoder<Vec<u8>>),
    /// zstd.
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// Begins; `None` for a coding that is not written.
    pub(crate) fn new(coding: Coding) -> Option<Self> {
        match coding {
            Coding::Gzip => Some(Self::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::fast()))),
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).ok()?;
                // A small window: thousands of streams may be open at a time.
                encoder.window_log(17).ok()?;
                Some(Self::Zstd(encoder))
            }
            Coding::Brotli => None,
        }
    }

    /// Takes data; with `flush` all of it can be read from what has been given so far.
    pub(crate) fn piece(&mut self, data: &[u8], flush: bool) -> io::Result<Bytes> {
        match self {
            Self::Gzip(encoder) => {
                encoder.write_all(data)?;
                if flush {
                    encoder.flush()?;
                }
                Ok(std::mem::take(encoder.get_mut()).into())
            }
            Self::Zstd(encoder) => {
                encoder.write_all(data)?;
                if flush {
                    encoder.flush()?;
                }
                Ok(std::mem::take(encoder.get_mut()).into())
            }
        }
    }

    /// The end.
    pub(crate) fn finish(self) -> io::Result<Bytes> {
        match self {
            Self::Gzip(encoder) => Ok(encoder.finish()?.into()),
            Self::Zstd(encoder) => Ok(encoder.finish()?.into()),
        }
    }
}

/// Why a body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It is larger than the limit, or than its ratio allows.
    TooLarge,
    /// It is no such coding, or cut.
    Broken,
}

/// Reads one coded body.
pub(crate) struct Decoder {
    inner: Inner,
    taken: u64,
    given: u64,
    limit: u64,
}

enum Inner {
    Gzip(MultiGzDecoder<Bounded>),
    Zstd(zstd::stream::write::Decoder<'static, Bounded>),
    Brotli(Box<brotli_decompressor::DecompressorWriter<Bounded>>),
}

impl Decoder {
    /// Begins a body that may be so many bytes long.
    pub(crate) fn new(coding: Coding, limit: u64) -> Result<Self, Flaw> {
        let inner = match coding {
            Coding::Gzip => Inner::Gzip(MultiGzDecoder::new(Bounded::default())),
            Coding::Zstd => {
                let mut decoder = zstd::stream::write::Decoder::new(Bounded::default()).map_err(|_| Flaw::Broken)?;
                decoder.window_log_max(WINDOW_LOG).map_err(|_| Flaw::Broken)?;
                Inner::Zstd(decoder)
            }
            Coding::Brotli => {
                Inner::Brotli(Box::new(brotli_decompressor::DecompressorWriter::new(Bounded::default(), STEP)))
            }
        };
        Ok(Self { inner, taken: 0, given: 0, limit })
    }

    /// Decodes a piece. What comes out is bounded, whatever is in it.
    pub(crate) fn piece(&mut self, data: &[u8]) -> Result<Bytes, Flaw> {
        let mut out = Vec::new();
        for step in data.chunks(STEP) {
            self.taken += step.len() as u64;
            let room = self.limit.min(self.taken.saturating_mul(RATIO).max(FLOOR)).saturating_sub(self.given);
            self.sink().room = usize::try_from(room).unwrap_or(usize::MAX);
            let written = match &mut self.inner {
                Inner::Gzip(decoder) => decoder.write_all(step).and_then(|()| decoder.flush()),
                Inner::Zstd(decoder) => decoder.write_all(step).and_then(|()| decoder.flush()),
                Inner::Brotli(decoder) => decoder.write_all(step),
            };
            self.drain(written, &mut out)?;
        }
        Ok(out.into())
    }

    /// The end: a body that is cut is broken.
    pub(crate) fn finish(&mut self) -> Result<Bytes, Flaw> {
        let mut out = Vec::new();
        let written = match &mut self.inner {
            Inner::Gzip(decoder) => decoder.try_finish(),
            Inner::Zstd(decoder) => decoder.do_finish(),
            Inner::Brotli(decoder) => decoder.close(),
        };
        self.drain(written, &mut out)?;
        Ok(out.into())
    }

    fn drain(&mut self, written: io::Result<()>, out: &mut Vec<u8>) -> Result<(), Flaw> {
        let sink = self.sink();
        if sink.full {
            return Err(Flaw::TooLarge);
        }
        written.map_err(|_| Flaw::Broken)?;
        let given = std::mem::take(&mut sink.out);
        self.given += given.len() as u64;
        out.extend_from_slice(&given);
        Ok(())
    }

    fn sink(&mut self) -> &mut Bounded {
        match &mut self.inner {
            Inner::Gzip(decoder) => decoder.get_mut(),
            Inner::Zstd(decoder) => decoder.get_mut(),
            Inner::Brotli(decoder) => decoder.get_mut(),
        }
    }
}

/// A whole message, coded; `None` for a coding that is not written.
pub(crate) fn encoded(coding: Coding, data: &[u8]) -> io::Result<Option<Bytes>> {
    let Some(mut encoder) = Encoder::new(coding) else { return Ok(None) };
    let mut out = encoder.piece(data, false)?.to_vec();
    out.extend_from_slice(&encoder.finish()?);
    Ok(Some(out.into()))
}

/// A whole message, decoded.
pub(crate) fn decoded(coding: Coding, data: &[u8], limit: usize) -> Result<Bytes, Flaw> {
    let mut decoder = Decoder::new(coding, limit as u64)?;
    let mut out = decoder.piece(data)?.to_vec();
    out.extend_from_slice(&decoder.finish()?);
    Ok(out.into())
}

/// Where decoders write: no more than there is room for.
#[derive(Default)]
struct Bounded {
    out: Vec<u8>,
    room: usize,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.out.len() + data.len() > self.room {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.out.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT_ENCODING;

    use super::*;

    fn coded(coding: Coding, data: &[u8]) -> Bytes {
        encoded(coding, data).expect("memory").expect("it is written")
    }

    #[test]
    fn what_is_coded_reads_back_and_cut_bodies_are_seen() {
        let text = "a line of text, and another\n".repeat(200);
        for coding in [Coding::Gzip, Coding::Zstd] {
            let body = coded(coding, text.as_bytes());
            assert_eq!(decoded(coding, &body, 100_000), Ok(Bytes::from(text.clone())));
            assert_eq!(decoded(coding, &body[..body.len() - 3], 100_000), Err(Flaw::Broken), "{coding:?}");
            assert_eq!(decoded(coding, b"no such coding", 100_000), Err(Flaw::Broken));
        }
    }

    #[test]
    fn brotli_is_read_whole_and_a_cut_body_is_seen() {
        // One uncompressed meta-block (RFC 7932 section 9.2), then the last and empty one.
        let body = b"\x0b\x02\x80hello\x03";
        assert_eq!(decoded(Coding::Brotli, body, 100), Ok(Bytes::from_static(b"hello")));
        for cut in 1..body.len() {
            assert_eq!(decoded(Coding::Brotli, &body[..cut], 100), Err(Flaw::Broken), "cut at {cut}");
        }
        assert_eq!(decoded(Coding::Brotli, body, 4), Err(Flaw::TooLarge));
        assert_eq!(decoded(Coding::Brotli, b"no such coding", 100), Err(Flaw::Broken));
    }

    #[test]
    fn bombs_are_refused_by_limit_and_by_ratio() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let bomb = coded(coding, &vec![0; 32 << 20]);
            assert_eq!(decoded(coding, &bomb, 1 << 20), Err(Flaw::TooLarge));
            assert_eq!(decoded(coding, &bomb, usize::MAX), Err(Flaw::TooLarge), "{coding:?}");
        }
    }

    #[test]
    fn the_greatest_weight_is_taken() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, text.parse().expect("a header"));
            Coding::accepted(&headers, &ACCEPT_ENCODING)
        };
        assert_eq!(of("gzip, deflate, br, zstd"), Some(Coding::Zstd));
        assert_eq!(of("gzip;q=1.0, zstd;q=0.5"), Some(Coding::Gzip));
        assert_eq!(of("*"), Some(Coding::Zstd));
        assert_eq!(of("*;q=0.3, zstd;q=0"), Some(Coding::Gzip));
        for none in ["br", "identity", "gzip;q=0", "gzip;q=0.1, identity;q=0.9", ""] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
