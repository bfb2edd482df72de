//! Any text: what has the form of a key is what the writer makes of the same 43 letters, and nothing but it.
#![no_main]
use authz::api_key::{PREFIX, is_well_formed, write};

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

libfuzzer_sys::fuzz_target!(|text: &str| {
    // The text as it is, and as the letters of a key: chance does not find a checksum.
    let bodies = [text.strip_prefix(PREFIX).unwrap_or_default(), text];
    if is_well_formed(text) {
        assert_eq!(written(bodies[0]).as_deref(), Some(text));
    }
    for body in bodies {
        let Some(key) = written(body) else { continue };
        assert!(is_well_formed(&key));
        assert!(
            !is_well_formed(&key[1..]) && !is_well_formed(&format!("{key}0")) && !is_well_formed(&key.to_uppercase())
        );
    }
});

/// The key of the first 43 letters; `None` when there are fewer, or something else stands among them.
fn written(body: &str) -> Option<String> {
    let numbers: Option<Vec<u8>> = body.bytes().take(43).map(number).collect();
    let mut numbers = numbers.filter(|numbers| numbers.len() == 43)?.into_iter();
    Some(write(|| numbers.next().expect("a key has 43 letters of chance")))
}

fn number(letter: u8) -> Option<u8> {
    LETTERS.iter().position(|known| *known == letter).and_then(|place| u8::try_from(place).ok())
}
