//! Settings of the document service, section `[document]` of `workos.toml`.
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of the document service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Most items on a page; a larger `page_size` is coerced to it. The contract promises at most 1000.
    pub(crate) page_size_max: usize,
    /// How long a page token can be used.
    #[serde(with = "chassis::duration")]
    pub(crate) page_token_age: Duration,
    /// How long a document stays in the trash. A change holds for documents deleted after it.
    #[serde(with = "chassis::duration")]
    pub(crate) trash_age: Duration,
    /// How often purged documents and ended grants are cleared away.
    #[serde(with = "chassis::duration")]
    pub(crate) sweep_interval: Duration,
    /// Most documents that one step of the clearing takes.
    pub(crate) sweep_batch: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            page_size_max: 1000,
            page_token_age: Duration::from_hours(24),
            trash_age: Duration::from_hours(30 * 24),
            sweep_interval: Duration::from_mins(1),
            sweep_batch: 100,
        }
    }
}

impl chassis::Section for Config {
    const SOURCE: &'static str = include_str!("config.rs");

    fn check(&self) -> Result<(), String> {
        if !(1..=1000).contains(&self.page_size_max) {
            return Err("page_size_max must lie between 1 and 1000".to_owned());
        }
        if self.page_token_age.is_zero() || self.trash_age.is_zero() || self.sweep_interval.is_zero() {
            return Err("page_token_age, trash_age and sweep_interval must be longer than nothing".to_owned());
        }
        if self.sweep_batch == 0 {
            return Err("sweep_batch must be at least 1".to_owned());
        }
        Ok(())
    }
}
