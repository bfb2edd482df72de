//! Settings of the search service, section `[search]` of `workos.toml`.
use std::time::Duration;

use chassis::Size;
use serde::{Deserialize, Serialize};

/// Least memory of the index writer; tantivy refuses less.
const MEMORY_MIN: u64 = 16 << 20;

/// Settings of the search service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// How long a page token can be used.
    #[serde(with = "chassis::duration")]
    pub(crate) page_token_age: Duration,
    /// How long the owners of the results may take to confirm access; after that their results are withheld.
    #[serde(with = "chassis::duration")]
    pub(crate) check_timeout: Duration,
    /// Most queries that run in the index at once; others wait.
    pub(crate) concurrency: usize,
    /// How long changes are gathered before their resources are read, so that several changes of one cost one read.
    #[serde(with = "chassis::duration")]
    pub(crate) gather: Duration,
    /// Least time between two commits of the index; what was read is found after the next one.
    #[serde(with = "chassis::duration")]
    pub(crate) commit_interval: Duration,
    /// A commit comes earlier after this many changes.
    pub(crate) commit_count: usize,
    /// Events that are worked on at once for each publishing service.
    pub(crate) events: usize,
    /// Memory in which changes are gathered between two commits.
    pub(crate) memory: Size,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            page_token_age: Duration::from_hours(24),
            check_timeout: Duration::from_secs(2),
            concurrency: 16,
            gather: Duration::from_millis(100),
            commit_interval: Duration::from_millis(500),
            commit_count: 5000,
            events: 512,
            memory: Size::from_mib(32),
        }
    }
}

impl chassis::Section for Config {
    const SOURCE: &'static str = include_str!("config.rs");

    fn check(&self) -> Result<(), String> {
        if self.page_token_age.is_zero() || self.check_timeout.is_zero() {
            return Err("page_token_age and check_timeout must be longer than nothing".to_owned());
        }
        if self.gather > Duration::from_secs(10) || self.commit_interval > Duration::from_secs(60) {
            return Err("gather must be at most 10s and commit_interval at most 60s".to_owned());
        }
        if self.concurrency == 0 || self.commit_count == 0 || self.events == 0 {
            return Err("concurrency, commit_count and events must be at least 1".to_owned());
        }
        if !(MEMORY_MIN..=1 << 31).contains(&self.memory.bytes()) {
            return Err("memory must lie between 16 MiB and 2 GiB".to_owned());
        }
        Ok(())
    }
}
