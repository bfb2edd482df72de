//! Ports on 127.0.0.1. A port is free when we could bind it a moment ago; a child that loses the race for it is
//! started again on another one (`start`).

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

use crate::error::{Doing, EngineError};

/// Hands out each port once per set of engines.
#[derive(Debug, Default)]
pub(crate) struct Handed(Mutex<BTreeSet<u16>>);

impl Handed {
    /// The preferred port, else the next free one above it; without a preference any free one below the range from
    /// which the system takes outgoing ports (a restarted engine wants its port back).
    pub(crate) fn take(&self, preferred: Option<u16>) -> Result<u16, EngineError> {
        let mut handed = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut take = |port: u16| free(port) && handed.insert(port);
        let found = match preferred {
            Some(first) => (first..first.saturating_add(200)).find(|port| take(*port)),
            None => std::iter::repeat_with(|| rand::random_range(20_000..32_000)).take(500).find(|port| take(*port)),
        };
        found
            .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::AddrInUse))
            .doing(|| "find a free port on 127.0.0.1".to_owned())
    }
}

/// Whether we could bind it just now.
pub(crate) fn free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_replaced_by_the_next_free_one_and_none_is_handed_out_twice() {
        let handed = Handed::default();
        let first = handed.take(None).expect("some port is free");
        let blocker = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).expect("it was free");
        let other = Handed::default();
        let second = other.take(Some(first)).expect("one above is free");
        assert!(second > first);
        assert_ne!(other.take(Some(second)).expect("one above is free"), second);
        drop(blocker);
    }
}
