//! Settings of the __name__ service, section `[__name__]` of `workos.toml`.
use serde::{Deserialize, Serialize};

/// Settings of the __name__ service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Most items on a page; a larger `page_size` is coerced to it. The contract promises at most 1000.
    pub(crate) page_size_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { page_size_max: 1000 }
    }
}

impl chassis::Section for Config {
    const SOURCE: &'static str = include_str!("config.rs");

    fn check(&self) -> Result<(), String> {
        match self.page_size_max {
            1..=1000 => Ok(()),
            _ => Err("page_size_max must lie between 1 and 1000".to_owned()),
        }
    }
}
