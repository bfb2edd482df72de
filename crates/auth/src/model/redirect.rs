//! Redirect URIs: which may be registered, which one a request may name, and the origin that a page must let a form lead to.
//!
//! A URI is compared byte for byte; the one exception is the port of a native client on the loopback addresses (RFC 8252 section
//! 7.3). `localhost` is a name that others may answer for, hence it is not among them.

const LONGEST: usize = 1024;
const LOOPBACK: [&str; 2] = ["http://127.0.0.1", "http://[::1]"];
/// Schemes that run or read something on the person's device instead of leading back to an application.
const HARMFUL: [&str; 9] = ["javascript", "data", "file", "vbscript", "blob", "about", "http", "https", "ftp"];

/// May be registered by a client that is (`native`) or is not on a device of the person.
///
/// # Errors
/// What is wrong, for the field's violation.
pub(crate) fn check(uri: &str, native: bool) -> Result<(), &'static str> {
    // No blank, quote or angle bracket may reach a header, a policy or a page.
    if uri.len() > LONGEST || !uri.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\^`{|}*;,".contains(&byte)) {
        return Err("must be at most 1,024 characters of a URI, without wildcards, quotes, commas and semicolons");
    }
    let Some((scheme, rest)) = uri.split_once(':') else { return Err("must be an absolute URI") };
    if uri.contains('#') {
        return Err("must have no fragment");
    }
    // An escaped dot is a dot to a browser (URL standard, section 4.1).
    let climbs = |segment: &str| [".", ".."].contains(&segment.to_ascii_lowercase().replace("%2e", ".").as_str());
    if rest.split(['/', '?']).any(climbs) {
        return Err("must have no `.` or `..` in its path");
    }
    match scheme {
        "https" => authority(rest).map(drop),
        "http" => match authority(rest)? {
            "localhost" | "127.0.0.1" | "[::1]" => Ok(()),
            _ => Err("must be https, or http on localhost, 127.0.0.1 or [::1]"),
        },
        _ if !native => Err("must be https, or http on localhost; other schemes are for NATIVE clients"),
        other if is_private(other) => private_place(rest),
        _ => Err(
            "must have a scheme that is a reversed domain name in lower case, for example com.example.app:/callback",
        ),
    }
}

/// Reversed domain names (RFC 8252 section 7.1): whoever holds the domain holds the scheme.
fn is_private(scheme: &str) -> bool {
    scheme.contains('.')
        && scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-+".contains(&byte))
        && !HARMFUL.contains(&scheme)
}

/// What follows a private scheme leads into the application itself; a place that looks like another's host (`//user@host:1`) is none.
fn private_place(rest: &str) -> Result<(), &'static str> {
    let Some(place) = rest.strip_prefix("//") else { return Ok(()) };
    let place = &place[..place.find(['/', '?']).unwrap_or(place.len())];
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~".contains(&byte);
    if place.bytes().all(named) { Ok(()) } else { Err("must have no user name and no port behind a private scheme") }
}

/// The host of `//host[:port][/path][?query]`.
fn authority(rest: &str) -> Result<&str, &'static str> {
    let problem = "must have a host in lower case, a port from 1 to 65535 if any, and no user name";
    let place = rest.strip_prefix("//").ok_or(problem)?;
    let place = &place[..place.find(['/', '?']).unwrap_or(place.len())];
    let (host, port) = match place.rfind(':').filter(|at| !place[*at..].contains(']')) {
        Some(at) => (&place[..at], Some(&place[at + 1..])),
        None => (place, None),
    };
    let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let good = host == "[::1]" || (!host.is_empty() && host.bytes().all(named));
    // A registered loopback URI may have port 0, which says that any is meant.
    if good && port.is_none_or(|port| port == "0" || is_port(port)) { Ok(host) } else { Err(problem) }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0') && text.parse::<u16>().is_ok()
}

/// The URI of a request is this registered one.
pub(crate) fn matches(registered: &str, native: bool, asked: &str) -> bool {
    match (native.then(|| loopback(registered)).flatten(), loopback(asked)) {
        (Some((host, _, path)), Some((asked_host, port, asked_path))) => {
            host == asked_host
                && path == asked_path
                && (port.is_some_and(is_port) || (registered == asked && port.is_none()))
        }
        _ => registered == asked,
    }
}

/// Host, port and what follows of a URI on a loopback address.
fn loopback(uri: &str) -> Option<(&'static str, Option<&str>, &str)> {
    let (host, rest) = LOOPBACK.into_iter().find_map(|host| uri.strip_prefix(host).map(|rest| (host, rest)))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (port, path) = rest.split_at(end);
    match port.strip_prefix(':') {
        Some(port) => Some((host, Some(port), path)),
        None if port.is_empty() => Some((host, None, path)),
        None => None,
    }
}

/// Where a redirect to a good URI leads, as Content Security Policy names it: an origin, or a scheme with its colon.
pub(crate) fn origin(uri: &str) -> &str {
    match uri.split_once("://") {
        Some((scheme @ ("http" | "https"), place)) => {
            &uri[..scheme.len() + 3 + place.find(['/', '?']).unwrap_or(place.len())]
        }
        _ => &uri[..uri.find(':').map_or(0, |at| at + 1)],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn auth_o06_only_the_registered_uri_itself_is_taken() {
        let registered = "https://app.example/cb";
        for other in [
            "",
            "https://app.example/cb/x",
            "https://app.example/x/../cb",
            "https://app.example/CB",
            "https://APP.example/cb",
            "https://app.example/cb#x",
            "https://app.example/cb?x=1",
            "https://app.example:443/cb",
            "https://app.example:8443/cb",
            "http://app.example/cb",
            "https://app.example.evil.example/cb",
            "https://app.example@evil.example/cb",
            "javascript:alert(1)",
        ] {
            assert!(!matches(registered, false, other) && !matches(registered, true, other), "{other}");
        }
        assert!(matches(registered, false, registered));
    }

    #[test]
    fn auth_o07_the_port_of_a_native_client_is_free_on_the_loopback_addresses_alone() {
        for (registered, asked, native, good) in [
            ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb", true, true),
            ("http://127.0.0.1/cb", "http://127.0.0.1/cb", true, true),
            ("http://127.0.0.1:0/cb", "http://127.0.0.1/cb", true, false),
            ("http://127.0.0.1:0/cb", "http://127.0.0.1:0/cb", true, false),
            ("http://[::1]:1/cb", "http://[::1]:65535/cb", true, true),
            ("http://127.0.0.1/cb", "http://[::1]:1/cb", true, false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:80@evil.example/cb", true, false),
            ("http://127.0.0.1/cb", "http://127.0.0.1.evil.example:80/cb", true, false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:080/cb", true, false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb", false, false),
            ("http://localhost:3000/cb", "http://localhost:3000/cb", true, true),
            ("http://localhost:3000/cb", "http://localhost:3001/cb", true, false),
            ("com.example.app:/cb", "com.example.app:/cb", true, true),
        ] {
            assert_eq!(matches(registered, native, asked), good, "{registered} {asked}");
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_not_registered() {
        for (uri, native) in [
            ("https://app.example/cb?x=1", false),
            ("http://localhost:3000/cb", false),
            ("com.example.app:/cb", true),
            ("com.example.app://signIn_done/cb", true),
            ("com.example.app:///cb", true),
        ] {
            assert_eq!(check(uri, native), Ok(()), "{uri}");
        }
        for uri in [
            "/cb",
            "https://app.example/*",
            "https://app.example/cb#x",
            "https://app.example/a/../b",
            "https://app.example/a/%2e%2E/b",
            "https://app.example/.%2e",
            "https://user@app.example/cb",
            "https://app.example:0x1/cb",
            "https:app.example",
            "http://app.example/cb",
            "javascript:alert(1)",
            "app:/cb",
            "Com.Example:/cb",
            "com.example.app://user@evil.example/cb",
            "com.example.app://evil.example:1",
            "https://app.example/cb; form-action *",
        ] {
            assert!(check(uri, true).is_err(), "{uri}");
        }
        assert!(check("com.example.app:/cb", false).is_err());
    }

    #[test]
    fn the_origin_is_all_that_a_policy_needs() {
        assert_eq!(origin("https://app.example:8443/cb?x=1"), "https://app.example:8443");
        assert_eq!(origin("http://[::1]:9?x"), "http://[::1]:9");
        assert_eq!(origin("com.example.app:/cb"), "com.example.app:");
        assert_eq!(origin("http.example.app://cb/x"), "http.example.app:");
    }

    proptest! {
        #[test]
        fn auth_h03_a_uri_is_itself_or_differs_in_a_loopback_port(registered in "[ -~]{0,40}", asked in "[ -~]{0,40}", native: bool) {
            prop_assert!(!matches(&registered, native, &asked) || registered == asked || (native && loopback(&registered).is_some()));
            let _ = (check(&asked, native), origin(&asked));
        }
    }
}
