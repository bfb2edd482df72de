//! Settings of the file service, section `[file]` of `workos.toml`.
use std::time::Duration;

use chassis::Size;
use serde::{Deserialize, Serialize};

/// Settings of the file service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Longest file.
    pub(crate) size_max: Size,
    /// Media types that are not accepted, for example `application/x-msdownload`; `image/*` refuses a whole kind.
    pub(crate) refused_types: Vec<String>,
    /// How long an upload is kept after its last byte.
    #[serde(with = "chassis::duration")]
    pub(crate) upload_age: Duration,
    /// How long the bytes of a deleted file are kept.
    #[serde(with = "chassis::duration")]
    pub(crate) trash_age: Duration,
    /// How often expired uploads and deleted files are cleared away.
    #[serde(with = "chassis::duration")]
    pub(crate) sweep_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            size_max: Size::from_mib(16 * 1024),
            refused_types: Vec::new(),
            upload_age: Duration::from_hours(24),
            trash_age: Duration::from_hours(24),
            sweep_interval: Duration::from_mins(1),
        }
    }
}

impl chassis::Section for Config {
    const SOURCE: &'static str = include_str!("config.rs");

    fn check(&self) -> Result<(), String> {
        if self.size_max.bytes() == 0 || i64::try_from(self.size_max.bytes()).is_err() {
            return Err("size_max must be at least 1 B and less than 8 EiB".to_owned());
        }
        if self.upload_age.is_zero() || self.trash_age.is_zero() || self.sweep_interval.is_zero() {
            return Err("upload_age, trash_age and sweep_interval must be longer than nothing".to_owned());
        }
        Ok(())
    }
}
