//! Any envelopes in any coding: refused, or read as the same messages however the bytes are cut, none beyond the limit.
#![no_main]
const CODINGS: [&str; 4] = ["identity", "gzip", "zstd", "br"];
const LIMIT: usize = 64 * 1024;

libfuzzer_sys::fuzz_target!(|input: (u8, u8, &[u8])| {
    let (coding, size, body) = input;
    let coding = CODINGS[usize::from(coding) % CODINGS.len()];
    let whole = world::connect(&[body], coding, LIMIT);
    let pieces: Vec<_> = body.chunks(usize::from(size) + 1).collect();
    assert_eq!(whole, world::connect(&pieces, coding, LIMIT));
    assert!(whole.iter().flatten().all(|message| message.len() <= LIMIT));
});
