//! Any text as a refresh token or the mark of a device, and any change to a good one: what is read has this one spelling, and what
//! was changed is nobody's, also when its checksum was made good again.
#![no_main]
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use world::token::{is_mark, new_mark, new_refresh, refresh};

const USER: u128 = 6;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    for text in [text.to_string(), format!("wos_rt_{text}"), format!("wos_dv_{text}")] {
        assert!(refresh(&text).is_none_or(|again| again == text));
        assert!(!is_mark(&text, USER), "chance has signed");
    }
    let Some((head, changes)) = input.split_first_chunk::<24>() else { return };
    let (session, counter) = head.split_at(16);
    let session = u128::from_be_bytes(session.try_into().expect("16 bytes"));
    let good = new_refresh(session, i64::from_be_bytes(counter.try_into().expect("8 bytes")));
    let forged = changed("wos_rt_", &good, changes, |bytes| {
        let (signed, sum) = bytes.split_at_mut(41);
        sum.copy_from_slice(&Sha256::digest(signed)[..4]);
    });
    assert!(forged.is_none_or(|forged| refresh(&forged).is_none()));
    let mark = new_mark(session);
    assert!(is_mark(&mark, session) && !is_mark(&mark, session.wrapping_add(1)));
    assert!(changed("wos_dv_", &mark, changes, |_| ()).is_none_or(|forged| !is_mark(&forged, session)));
});

/// The good one with pairs of place and bits changed, then mended as a forger would; `None` when nothing is changed by it.
fn changed(prefix: &str, good: &str, changes: &[u8], mend: impl Fn(&mut [u8])) -> Option<String> {
    let before = URL_SAFE_NO_PAD.decode(good.strip_prefix(prefix)?).expect("base64");
    let mut bytes = before.clone();
    for pair in changes.chunks_exact(2) {
        let place = usize::from(pair[0]) % bytes.len();
        bytes[place] ^= pair[1];
    }
    mend(&mut bytes);
    (bytes != before).then(|| format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))
}
