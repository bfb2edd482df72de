//! Addresses for programs that bind them a moment later.
//!
//! Below the ports that the kernel gives to connections (32768 and up): one of those could take it in between.
use std::net::{Ipv4Addr, TcpListener};

/// An address of loopback that nobody listens on, as `host:port`.
///
/// # Panics
/// When no port is free.
#[must_use]
pub fn free_address() -> String {
    let mut drawn = std::iter::repeat_with(|| rand::random_range(20_000..32_000_u16)).take(10_000);
    let bound = drawn.find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    let listener = bound.expect("loopback has free ports");
    listener.local_addr().expect("a bound socket has an address").to_string()
}
