//! The network address of the caller: the socket's, or what trusted proxies wrote.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::HeaderMap;

/// The caller's address. With `hops` trusted proxies the entry that the first of them wrote counts; anything else in
/// `X-Forwarded-For` was written by the caller and is worth nothing.
pub(crate) fn of(headers: &HeaderMap, peer: SocketAddr, hops: usize) -> IpAddr {
    if hops == 0 {
        return peer.ip();
    }
    let entries: Vec<_> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let entry = entries.len().checked_sub(hops).and_then(|index| entries.get(index));
    entry.and_then(|entry| entry.trim().parse().ok()).unwrap_or_else(|| peer.ip())
}

/// By these headers proxies tell whom they speak for.
const PASSED_ON: [&str; 5] = ["x-forwarded-", "forwarded", "via", "x-real-ip", "x-envoy-"];

/// The connection begins on this machine, and nobody has passed it on. It is the loopback address itself that counts: what a sidecar takes in
/// comes from others of its network.
pub(crate) fn is_local(headers: &HeaderMap, peer: SocketAddr) -> bool {
    let own = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let told = |name: &str| PASSED_ON.iter().any(|known| name.starts_with(known));
    own.contains(&peer.ip().to_canonical()) && !headers.keys().any(|name| told(name.as_str()))
}

/// The network that is limited: the address itself, or the first address of an IPv6 address's /64, which one household owns
/// whole. A socket of both kinds shows IPv4 addresses within IPv6: each is a network of its own.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// An address as text. Each request needs it thrice, and the formatter of the library takes its time over IPv4.
pub(crate) fn text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { return address.to_string() };
    let mut text = String::with_capacity(15);
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            text.push('.');
        }
        if octet >= 100 {
            text.push(char::from(b'0' + octet / 100));
        }
        if octet >= 10 {
            text.push(char::from(b'0' + octet / 10 % 10));
        }
        text.push(char::from(b'0' + octet % 10));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_library() {
        for address in ["0.0.0.0", "1.20.100.255", "109.90.9.200", "2001:db8::1", "::ffff:1.2.3.4"] {
            let address: IpAddr = address.parse().expect("an address");
            assert_eq!(text(address), address.to_string());
        }
    }

    #[test]
    fn auth_h04_local_is_what_begins_on_this_machine_and_no_proxy_has_passed_on() {
        let none = HeaderMap::new();
        for (peer, local) in [
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("127.0.0.6:1", false),
            ("10.0.0.9:1", false),
            ("[fe80::1]:1", false),
            ("0.0.0.0:1", false),
        ] {
            assert_eq!(is_local(&none, peer.parse().expect("an address")), local, "{peer}");
        }
        for name in
            ["x-forwarded-for", "x-forwarded-proto", "forwarded", "via", "x-real-ip", "x-envoy-external-address"]
        {
            let headers = HeaderMap::from_iter([(http::HeaderName::from_static(name), "x".parse().expect("a header"))]);
            assert!(!is_local(&headers, SocketAddr::from(([127, 0, 0, 1], 1))), "{name}");
        }
    }

    #[test]
    fn only_what_a_trusted_proxy_wrote_is_believed() {
        let peer = SocketAddr::from(([10, 0, 0, 9], 1));
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "1.1.1.1, 2.2.2.2".parse().expect("a header"));
        assert_eq!(of(&headers, peer, 0).to_string(), "10.0.0.9");
        assert_eq!(of(&headers, peer, 1).to_string(), "2.2.2.2");
        assert_eq!(of(&headers, peer, 3).to_string(), "10.0.0.9");
    }
}
