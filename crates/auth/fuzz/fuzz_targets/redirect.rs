//! Any two URIs: the one is registered or not, the other matches it or not; and a browser, which reads them by the URL standard,
//! goes where the match says: the same scheme, host and path, and another port only on a loopback address of a native client.
#![no_main]
use url::{Position, Url};

const STATE: &str = "s&t=a#t/e?";

libfuzzer_sys::fuzz_target!(|input: &str| {
    let Some((kind, rest)) = input.split_at_checked(1) else { return };
    let (native, (registered, asked)) = (kind == "n", rest.split_once('\n').unwrap_or((rest, rest)));
    if !world::is_registrable(registered, native) {
        return;
    }
    assert!(world::matches(registered, false, registered));
    // A host of digits alone, or of malformed Punycode: no browser goes there.
    let Ok(home) = Url::parse(registered) else { return };
    is_registered_as_read(registered, native, &home);
    if !world::matches(registered, native, asked) {
        return;
    }
    let there = Url::parse(asked).expect("it differs from a URL in its port alone");
    assert_eq!(there.scheme(), home.scheme());
    assert_eq!(there.host(), home.host());
    assert!(there.username().is_empty() && there.password().is_none());
    assert_eq!(there[Position::BeforePath..], home[Position::BeforePath..]);
    if there.port() != home.port() {
        assert!(
            native && home.scheme() == "http" && ["127.0.0.1", "[::1]"].contains(&home.host_str().unwrap_or_default())
        );
    }
    answers(asked, &there);
});

/// What may be registered means to a browser what it says.
fn is_registered_as_read(registered: &str, native: bool, home: &Url) {
    assert!(home.username().is_empty() && home.password().is_none() && home.fragment().is_none());
    match home.scheme() {
        "https" => {}
        "http" => assert!(["localhost", "127.0.0.1", "[::1]"].contains(&home.host_str().unwrap_or_default())),
        scheme => assert!(native && scheme.contains('.')),
    }
    if ["http", "https"].contains(&home.scheme()) {
        // As written, but for the slash of an empty path.
        let (path, written) = (&home[Position::BeforePath..], registered.split_once("://").map(|(_, rest)| rest));
        let written = written.and_then(|rest| rest.find(['/', '?']).map(|at| &rest[at..])).unwrap_or_default();
        assert!(path == written || path.strip_prefix('/') == Some(written), "{path} {written}");
        let origin = Url::parse(world::origin(registered)).expect("an origin is a URL");
        assert_eq!(origin.origin(), home.origin());
    } else {
        assert_eq!(world::origin(registered), format!("{}:", home.scheme()));
    }
}

/// The client gets its code there and nowhere else, and the state comes back as it was sent.
fn answers(asked: &str, there: &Url) {
    let full = Url::parse(&world::answer(asked, "c0de", STATE)).expect("parameters break no URL");
    assert_eq!(full[..Position::AfterPath], there[..Position::AfterPath]);
    assert!(
        full.query().is_some_and(|query| query.starts_with(there.query().unwrap_or_default()))
            && full.fragment().is_none()
    );
    let last =
        |name: &str| full.query_pairs().filter(|(known, _)| known == name).last().map(|(_, value)| value.into_owned());
    assert_eq!((last("code").as_deref(), last("state").as_deref()), (Some("c0de"), Some(STATE)));
}
