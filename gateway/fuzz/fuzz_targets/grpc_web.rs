//! Any text: refused, or read as the same frames however the bytes are cut, none beyond the limit.
#![no_main]
const LIMIT: usize = 64 * 1024;

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (size, body) = input;
    let whole = world::grpc_web(&[body], LIMIT);
    let pieces: Vec<_> = body.chunks(usize::from(size) + 1).collect();
    assert_eq!(whole, world::grpc_web(&pieces, LIMIT));
    assert!(whole.iter().flatten().all(|(_, message)| message.len() <= LIMIT));
});
