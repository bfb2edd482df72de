//! Where the platform of this folder is: found, or started for one command and stopped after it.
use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use chassis::{Config, Options};
use serde::{Deserialize, Serialize};

use crate::{bootstrap, terminal, up::Platform};

/// What `workos up` leaves for other commands, in `.workos/run/platform.json`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Place {
    /// Public address of the edge.
    pub(crate) gateway: String,
    /// Admin address.
    pub(crate) admin: String,
    /// Temporal's pages.
    pub(crate) temporal_ui: Option<String>,
    /// Process id of `up`.
    pub(crate) pid: u32,
}

impl Place {
    /// Writes the file.
    pub(crate) fn write(&self, root: &Path) -> Result<()> {
        let path = path(root);
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(serde_json::to_string_pretty(self)?.as_bytes())
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Removes the file.
    pub(crate) fn forget(root: &Path) {
        let _ = fs::remove_file(path(root));
    }

    /// Reads the file, if an `up` left one.
    pub(crate) fn read(root: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path(root)).ok()?).ok()
    }
}

fn path(root: &Path) -> PathBuf {
    root.join("run/platform.json")
}

/// The `.workos` folder: the nearest one above the current folder, else one in it.
pub(crate) fn root() -> PathBuf {
    engines::Settings::default().root
}

/// The configuration of a platform that runs in another process on this `.workos` folder.
pub(crate) fn config_of(root: &Path) -> Result<Config> {
    with_engines(Config::load(&Options::default())?, root)
}

/// The configuration with the engines that `up` has started in this folder.
pub(crate) fn with_engines(mut config: Config, root: &Path) -> Result<Config> {
    if config.platform.data_dir == Config::defaults()?.platform.data_dir {
        config.set("data_dir", root.join("data"))?;
    }
    if let Some(addresses) = engines::Addresses::of_running(root) {
        config.set("engines.postgres.url", &addresses.postgres)?;
        config.set("engines.postgres.admin_url", &addresses.postgres)?;
    }
    Ok(config)
}

/// What people can open.
pub(crate) fn places(gateway: &str, admin: &str, temporal_ui: Option<&str>) -> Vec<(String, String)> {
    let mut places = vec![
        ("API page".to_owned(), format!("{gateway}/docs")),
        ("OpenAPI".to_owned(), format!("{gateway}/openapi.json")),
        ("gRPC".to_owned(), gateway.trim_start_matches("http://").to_owned()),
        ("metrics".to_owned(), format!("http://{admin}/metrics")),
        ("readiness".to_owned(), format!("http://{admin}/ready")),
    ];
    places.extend(temporal_ui.map(|url| ("Temporal UI".to_owned(), url.to_owned())));
    places
}

/// A platform to talk to.
pub(crate) enum Running {
    /// Somebody else runs it.
    Found(Place, Box<Config>),
    /// We started it.
    Started(Box<Platform>, String),
}

impl Running {
    /// Finds the platform of this folder, or the one at `gateway`, or starts one.
    pub(crate) async fn find_or_start(root: &Path, gateway: Option<&str>, options: &Options) -> Result<Self> {
        let place = match gateway {
            Some(gateway) => {
                Some(Place { gateway: gateway.to_owned(), admin: String::new(), temporal_ui: None, pid: 0 })
            }
            None => Place::read(root),
        };
        if let Some(place) = place {
            if bootstrap::is_completed(&place.gateway).await.is_ok() {
                return Ok(Self::Found(place, Box::new(Config::load(options)?)));
            }
            if gateway.is_some() {
                bail!("no platform answers at {}; start one with ./dev up", place.gateway);
            }
        }
        terminal::note("no platform runs here: starting one for the demo");
        let platform = Platform::start(options, false).await?;
        let gateway = platform.gateway();
        Ok(Self::Started(Box::new(platform), gateway))
    }

    /// Public address of the edge.
    pub(crate) fn gateway(&self) -> &str {
        match self {
            Self::Found(place, _) => &place.gateway,
            Self::Started(_, gateway) => gateway,
        }
    }

    /// The one-time code for the first owner.
    pub(crate) async fn bootstrap_code(&self, root: &Path) -> Result<String> {
        match self {
            Self::Started(platform, _) => platform.bootstrap_code().await,
            Self::Found(_, config) => bootstrap::new_code(&with_engines(Config::clone(config), root)?).await,
        }
    }

    /// What people can open.
    pub(crate) fn places(&self) -> Vec<(String, String)> {
        match self {
            Self::Started(platform, _) => platform.places(),
            Self::Found(place, _) => places(&place.gateway, &place.admin, place.temporal_ui.as_deref()),
        }
    }

    /// Leaves the platform as it was found.
    pub(crate) async fn leave(self) {
        if let Self::Started(platform, _) = self {
            terminal::note("stopping the platform that was started for the demo; ./dev up keeps one running");
            platform.stop().await;
        }
    }
}
