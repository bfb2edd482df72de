//! Places of one kind (connections, requests at work, memory for bodies): so many for all, and so many for one network.
//!
//! What must hold: the table has an entry only for a network that holds something, so it is never longer than what is held;
//! what is held is given back when its holder is dropped, also in the middle of a wait.
use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;

use crate::filter::address;

/// Parts of the table, each with a lock of its own: requests of different networks seldom wait for one another.
const SHARDS: usize = 16;

/// The places of one kind.
#[derive(Clone)]
pub(crate) struct Places(Arc<Inner>);

struct Inner {
    all: Semaphore,
    most: usize,
    each: usize,
    held: [Mutex<HashMap<IpAddr, usize>>; SHARDS],
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// This network holds as many as it may.
    Network,
    /// All are taken.
    All,
}

/// What one holder has; it goes back when this is dropped.
pub(crate) struct Place {
    places: Places,
    network: IpAddr,
    /// Counted for the network.
    counted: usize,
    /// Taken from all.
    taken: usize,
}

impl Places {
    /// `most` places, of which one network has at most `each`.
    pub(crate) fn new(most: usize, each: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Inner { all: Semaphore::new(most), most, each, held: Default::default() }))
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.0.most.saturating_sub(self.0.all.available_permits())
    }

    /// A holder of nothing, for the network of this address.
    pub(crate) fn holder(&self, of: IpAddr) -> Place {
        Place { places: self.clone(), network: address::network(of), counted: 0, taken: 0 }
    }

    /// A place at once.
    ///
    /// # Errors
    /// There is none for this network, or none at all.
    pub(crate) fn take(&self, address: IpAddr) -> Result<Place, Full> {
        let mut place = self.holder(address);
        place.count(1)?;
        place.places.0.all.try_acquire().map_err(|_| Full::All)?.forget();
        place.taken = 1;
        Ok(place)
    }
}

impl Place {
    /// Takes so many more; waits for what others hold, never for what its own network holds.
    ///
    /// # Errors
    /// This network holds as many as it may: then nothing has changed.
    pub(crate) async fn grow(&mut self, more: usize) -> Result<(), Full> {
        // Counted apart: a wait that is given up leaves this holder as it was.
        let mut waiting = Self { places: self.places.clone(), network: self.network, counted: 0, taken: 0 };
        waiting.count(more)?;
        let permits = u32::try_from(more).map_err(|_| Full::All)?;
        self.places.0.all.acquire_many(permits).await.map_err(|_| Full::All)?.forget();
        self.counted += std::mem::take(&mut waiting.counted);
        self.taken += more;
        Ok(())
    }

    /// How many it has.
    pub(crate) fn held(&self) -> usize {
        self.taken
    }

    /// Gives back all it has.
    pub(crate) fn give_back(&mut self) {
        let (counted, taken) = (std::mem::take(&mut self.counted), std::mem::take(&mut self.taken));
        if taken > 0 {
            self.places.0.all.add_permits(taken);
        }
        if counted > 0
            && let Entry::Occupied(mut held) = self.shard().entry(self.network)
        {
            *held.get_mut() = held.get().saturating_sub(counted);
            if *held.get() == 0 {
                held.remove();
            }
        }
    }

    fn count(&mut self, more: usize) -> Result<(), Full> {
        {
            let mut shard = self.shard();
            let held = shard.get(&self.network).copied().unwrap_or_default();
            if held.saturating_add(more) > self.places.0.each {
                return Err(Full::Network);
            }
            if more > 0 {
                shard.insert(self.network, held + more);
            }
        }
        self.counted += more;
        Ok(())
    }

    fn shard(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // The last byte that tells networks apart.
        let byte = match self.network {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[7],
        };
        self.places.0.held[usize::from(byte) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn entries(places: &Places) -> usize {
        places.0.held.iter().map(|shard| shard.lock().expect("no panic").len()).sum()
    }

    #[test]
    fn one_network_does_not_take_all_and_leaves_nothing_behind() {
        let places = Places::new(3, 2);
        let held: Vec<_> = (0..2).map(|_| places.take(at("10.0.0.1")).expect("free")).collect();
        assert_eq!(places.take(at("10.0.0.1")).err(), Some(Full::Network));
        let other = places.take(at("10.0.0.2")).expect("free");
        assert_eq!(places.take(at("10.0.0.3")).err(), Some(Full::All));
        assert_eq!((places.taken(), entries(&places)), (3, 2), "who got nothing has no entry");
        drop((held, other));
        assert_eq!((places.taken(), entries(&places)), (0, 0));
    }

    #[test]
    fn a_household_of_ipv6_is_one_network_and_ipv4_in_ipv6_is_ipv4() {
        let places = Places::new(10, 1);
        let _held =
            (places.take(at("2001:db8:0:1::1")).expect("free"), places.take(at("::ffff:10.0.0.1")).expect("free"));
        assert_eq!(places.take(at("2001:db8:0:1:ffff::2")).err(), Some(Full::Network));
        assert_eq!(places.take(at("10.0.0.1")).err(), Some(Full::Network));
        assert!(places.take(at("2001:db8:0:2::1")).is_ok() && places.take(at("::ffff:10.0.0.2")).is_ok());
    }

    #[test]
    fn who_stops_waiting_has_taken_nothing() {
        let places = Places::new(4, 3);
        let mut first = places.holder(at("10.0.0.1"));
        assert_eq!(first.grow(3).now_or_never(), Some(Ok(())));
        assert_eq!(first.grow(1).now_or_never(), Some(Err(Full::Network)), "its own are not waited for");
        let mut second = places.holder(at("10.0.0.2"));
        assert_eq!(second.grow(2).now_or_never(), None, "others are");
        assert_eq!((places.taken(), second.held(), entries(&places)), (3, 0, 1));
        assert_eq!(second.grow(1).now_or_never(), Some(Ok(())));
        drop(second);
        assert_eq!((places.taken(), entries(&places)), (3, 1));
        first.give_back();
        assert_eq!((places.taken(), first.held(), entries(&places)), (0, 0, 0));
    }
}
