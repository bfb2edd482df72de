//! How long chains of parents are: without looking at what lies below a resource, whose height says it.
//!
//! A height is the longest chain below a resource, or more than that: it is raised when something is hung there and not lowered when
//! something is taken away. What seems too long is therefore measured once before it is refused.
use std::collections::{HashMap, HashSet};

use super::{Facts, relation_limit as limit};
use crate::error::{Authorization, Error};

/// Resources with everything above them, and their heights.
pub(crate) struct Chains<'a> {
    names: Vec<&'a str>,
    parents: Vec<Vec<usize>>,
    heights: Vec<i32>,
    depths: Vec<i32>,
}

impl<'a> Chains<'a> {
    /// Raises heights by what the links say; those that were `measured` are right as they are. `None` when the links make a circle.
    pub(crate) fn new(facts: &'a Facts, heights: &HashMap<String, i32>, measured: &HashSet<String>) -> Option<Self> {
        let (names, parents) = facts.links();
        let order = lowest_first(&parents)?;
        let mut raised: Vec<i32> = names.iter().map(|name| heights.get(*name).copied().unwrap_or_default()).collect();
        for place in &order {
            for parent in &parents[*place] {
                if !measured.contains(names[*parent]) {
                    raised[*parent] = raised[*parent].max(raised[*place] + 1);
                }
            }
        }
        let mut depths = vec![1; names.len()];
        for place in order.iter().rev() {
            depths[*place] = 1 + parents[*place].iter().map(|parent| depths[*parent]).max().unwrap_or_default();
        }
        Some(Self { names, parents, heights: raised, depths })
    }

    /// One of these resources that seems to stand in too long a chain and was not `measured`; `None` when all keep within the limits.
    ///
    /// # Errors
    /// RELATION_CYCLE when one does stand in too long a chain, AUTHORIZATION_LIMIT when one inherits from too many resources.
    pub(crate) fn long<'b>(&self, paths: &[&'b str], measured: &HashSet<String>) -> Result<Option<&'b str>, Error> {
        let mut long = paths.iter().copied().filter(|path| self.is_long(path)).peekable();
        if long.peek().is_some() {
            let unknown = long.find(|path| !measured.contains(*path));
            return unknown.map(Some).ok_or_else(|| Authorization::RelationCycle.into());
        }
        if paths.iter().any(|path| self.is_wide(path)) {
            let most = i64::try_from(limit::ABOVE).unwrap_or(i64::MAX);
            return Err(Authorization::Limit("resources above one resource", most).into());
        }
        Ok(None)
    }

    /// The longest chain through this resource has more than there may be.
    fn is_long(&self, path: &str) -> bool {
        self.place(path).is_some_and(|place| self.depths[place] + self.heights[place] > limit::CHAIN)
    }

    /// It inherits from more resources than may be.
    fn is_wide(&self, path: &str) -> bool {
        let Some(first) = self.place(path) else { return false };
        let (mut seen, mut open) = (HashSet::from([first]), vec![first]);
        while let Some(place) = open.pop() {
            open.extend(self.parents[place].iter().filter(|parent| seen.insert(**parent)));
        }
        seen.len() > limit::ABOVE + 1
    }

    /// Heights that are not those given.
    pub(crate) fn changed(&self, heights: &HashMap<String, i32>) -> Vec<(&'a str, i32)> {
        let all = self.names.iter().copied().zip(self.heights.iter().copied());
        all.filter(|(name, height)| heights.get(*name).copied().unwrap_or_default() != *height).collect()
    }

    fn place(&self, path: &str) -> Option<usize> {
        self.names.iter().position(|name| *name == path)
    }
}

/// Places so that each comes before its parents; `None` when there is a circle.
fn lowest_first(parents: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut children = vec![0_usize; parents.len()];
    parents.iter().flatten().for_each(|parent| children[*parent] += 1);
    let mut order: Vec<usize> = (0..parents.len()).filter(|place| children[*place] == 0).collect();
    let mut next = 0;
    while let Some(place) = order.get(next).copied() {
        next += 1;
        for parent in &parents[place] {
            children[*parent] -= 1;
            if children[*parent] == 0 {
                order.push(*parent);
            }
        }
    }
    (order.len() == parents.len()).then_some(order)
}

#[cfg(test)]
mod tests {
    use api::Share;

    use super::*;

    fn facts(links: &[(&str, &str)]) -> Facts {
        let mut facts = Facts::default();
        for (object, parent) in links {
            facts.add_parent((*object).to_owned(), (*parent).to_owned(), Share::Keeper);
        }
        facts
    }

    #[test]
    fn heights_rise_along_the_longest_chain_and_circles_are_found() {
        let facts_ = facts(&[("leaf", "branch"), ("branch", "root"), ("leaf", "root")]);
        let known = HashMap::from([("leaf".to_owned(), 97), ("root".to_owned(), 3)]);
        let chains = Chains::new(&facts_, &known, &HashSet::new()).expect("no circle");
        let mut changed = chains.changed(&known);
        changed.sort_unstable();
        assert_eq!(changed, [("branch", 98), ("root", 99)]);
        assert!(!chains.is_long("leaf"), "97 below and three: a hundred");
        let known = HashMap::from([("leaf".to_owned(), 98)]);
        assert!(Chains::new(&facts_, &known, &HashSet::new()).expect("no circle").is_long("leaf"));
        let circle = facts(&[("a", "b"), ("b", "c"), ("c", "a")]);
        assert!(Chains::new(&circle, &HashMap::new(), &HashSet::new()).is_none());
        assert!(Chains::new(&facts(&[("a", "a")]), &HashMap::new(), &HashSet::new()).is_none());
    }

    #[test]
    fn what_was_measured_is_not_raised_by_what_was_not() {
        let facts = facts(&[("old", "moved"), ("moved", "root")]);
        let known = HashMap::from([("old".to_owned(), 99), ("moved".to_owned(), 1)]);
        let measured = HashSet::from(["moved".to_owned()]);
        assert!(!Chains::new(&facts, &known, &measured).expect("no circle").is_long("moved"));
        assert!(Chains::new(&facts, &known, &HashSet::new()).expect("no circle").is_long("moved"));
    }
}
