//! Who is served next: a queue per aggregate, a bound on all.
//!
//! Events of one aggregate are served one at a time in order of arrival; aggregates wait for a free place in order of
//! arrival. Pure bookkeeping, no I/O.
use std::{
    collections::{BTreeMap, VecDeque},
    hash::Hash,
};

/// Work waiting, by key.
#[derive(Debug)]
pub(crate) struct Desk<K, W> {
    places: usize,
    room: usize,
    busy: usize,
    waiting: usize,
    /// Keys in service (an entry exists) and what waits behind each.
    queues: BTreeMap<K, VecDeque<W>>,
    /// Keys that wait for a free place, with their first work.
    line: VecDeque<(K, W)>,
}

impl<K: Ord + Clone + Hash, W> Desk<K, W> {
    /// A desk that serves `places` keys at once and lets `room` pieces of work wait.
    pub(crate) fn new(places: usize, room: usize) -> Self {
        Self { places, room, busy: 0, waiting: 0, queues: BTreeMap::new(), line: VecDeque::new() }
    }

    /// More work may come.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting < self.room
    }

    /// Takes work in; returns it when it is to be served at once.
    pub(crate) fn admit(&mut self, key: K, work: W) -> Option<(K, W)> {
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.push_back(work);
            self.waiting += 1;
            return None;
        }
        self.queues.insert(key.clone(), VecDeque::new());
        if self.busy < self.places {
            self.busy += 1;
            return Some((key, work));
        }
        self.line.push_back((key, work));
        self.waiting += 1;
        None
    }

    /// The work of `key` is done; returns what is to be served in its place.
    pub(crate) fn done(&mut self, key: &K) -> Option<(K, W)> {
        // A key that has more goes to the end of the line: a busy aggregate must not starve the others.
        match self.queues.get_mut(key).and_then(VecDeque::pop_front) {
            Some(work) => self.line.push_back((key.clone(), work)),
            None => drop(self.queues.remove(key)),
        }
        let next = self.line.pop_front();
        match next {
            Some(_) => self.waiting -= 1,
            None => self.busy -= 1,
        }
        next
    }

    /// All waiting work.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &W> {
        self.line.iter().map(|(_, work)| work).chain(self.queues.values().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_is_served_one_at_a_time_in_order() {
        let mut desk = Desk::new(4, 100);
        assert_eq!(desk.admit("a", 1), Some(("a", 1)));
        assert_eq!((desk.admit("a", 2), desk.admit("a", 3)), (None, None));
        assert_eq!(desk.admit("b", 4), Some(("b", 4)));
        assert_eq!(desk.waiting().copied().collect::<Vec<_>>(), [2, 3]);
        assert_eq!(desk.done(&"a"), Some(("a", 2)));
        assert_eq!(desk.done(&"b"), None);
        assert_eq!(desk.done(&"a"), Some(("a", 3)));
        assert_eq!(desk.done(&"a"), None);
        assert_eq!(desk.admit("a", 5), Some(("a", 5)));
    }

    #[test]
    fn no_more_keys_than_places_and_no_more_work_than_room() {
        let mut desk = Desk::new(2, 2);
        assert!(desk.admit(1, ()).is_some() && desk.admit(2, ()).is_some());
        assert!(desk.admit(3, ()).is_none() && desk.has_room());
        assert!(desk.admit(1, ()).is_none() && !desk.has_room());
        assert_eq!(desk.done(&1), Some((3, ())), "the line comes before more of a busy key");
        assert_eq!(desk.done(&2), Some((1, ())));
        assert!(desk.has_room());
        assert_eq!((desk.done(&3), desk.done(&1)), (None, None));
        assert_eq!((desk.busy, desk.waiting, desk.queues.len()), (0, 0, 0));
    }
}
