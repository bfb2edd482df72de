//! Settings of the workflow service, section `[workflow]` of `workos.toml`.
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of the workflow service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Task queue of Temporal. All instances that share a database share it.
    pub(crate) task_queue: String,
    /// How long one call to Temporal may take.
    #[serde(with = "chassis::duration")]
    pub(crate) engine_timeout: Duration,
    /// How long Temporal keeps runs that have ended, in a namespace that we make.
    #[serde(with = "chassis::duration")]
    pub(crate) retention: Duration,
    /// How often runs are looked for that Temporal must hear of.
    #[serde(with = "chassis::duration")]
    pub(crate) relay_interval: Duration,
    /// Most runs that one step of that takes.
    pub(crate) relay_batch: u16,
    /// How often Temporal is asked whether a run still runs.
    #[serde(with = "chassis::duration")]
    pub(crate) audit_interval: Duration,
    /// How often a watched run is read when no change was heard of.
    #[serde(with = "chassis::duration")]
    pub(crate) watch_interval: Duration,
    /// Most items on a page; a larger `page_size` is coerced to it. The contract promises at most 1000.
    pub(crate) page_size_max: usize,
    /// How long a page token can be used.
    #[serde(with = "chassis::duration")]
    pub(crate) page_token_age: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            task_queue: "workos".to_owned(),
            engine_timeout: Duration::from_secs(5),
            retention: Duration::from_hours(7 * 24),
            relay_interval: Duration::from_secs(5),
            relay_batch: 50,
            audit_interval: Duration::from_hours(1),
            watch_interval: Duration::from_secs(1),
            page_size_max: 1000,
            page_token_age: Duration::from_hours(24),
        }
    }
}

impl chassis::Section for Config {
    const SOURCE: &'static str = include_str!("config.rs");

    fn check(&self) -> Result<(), String> {
        if self.task_queue.is_empty() || self.task_queue.len() > 200 {
            return Err("task_queue must have 1 to 200 bytes".to_owned());
        }
        if !(1..=1000).contains(&self.page_size_max) {
            return Err("page_size_max must lie between 1 and 1000".to_owned());
        }
        if self.relay_batch == 0 {
            return Err("relay_batch must be at least 1".to_owned());
        }
        if self.retention < Duration::from_hours(24) {
            return Err("retention must be at least a day".to_owned());
        }
        let times =
            [self.engine_timeout, self.relay_interval, self.audit_interval, self.watch_interval, self.page_token_age];
        if times.iter().any(Duration::is_zero) {
            return Err("timeouts and intervals must be longer than nothing".to_owned());
        }
        Ok(())
    }
}
