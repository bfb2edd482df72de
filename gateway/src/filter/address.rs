//! The network address of the caller: the socket's, or what trusted proxies wrote.
use std::net::{IpAddr, SocketAddr};

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

/// The network that is limited: the address itself, or the /64 of an IPv6 address, which one household owns whole.
pub(crate) fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let parts = address.segments();
            format!("{:x}:{:x}:{:x}:{:x}::/64", parts[0], parts[1], parts[2], parts[3])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
