//! `workos up`: start the engines that have no URL, migrate, run all services and the edge in this process.
//!
//! Stop in the opposite order: the edge drains, services drain, the relay stops, engines stop; each may still write while
//! the one before it finishes. What was acknowledged survives a kill at any point.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result};
use chassis::{Config, Host, Options, Parts, lifecycle::Signals};
use engines::{Addresses, Engines, Mode, NatsUser, Progress, Settings, Step};

use crate::{bootstrap, running, services::SERVICES, terminal};

/// Arguments of `workos up`.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct Arguments {
    /// Say only what goes wrong
    #[arg(long, short)]
    quiet: bool,
}

/// A platform that was started here.
pub(crate) struct Platform {
    engines: Engines,
    host: Host,
    root: PathBuf,
    config: Config,
}

/// Starts everything, waits for a signal, stops everything.
pub(crate) async fn run(arguments: &Arguments, options: &Options) -> Result<()> {
    let mut signals = Signals::take()?;
    let begin = Instant::now();
    let starting = Platform::start(options, arguments.quiet);
    let platform = tokio::select! {
        platform = starting => platform?,
        signal = signals.next() => {
            terminal::note(format!("{signal}: stopped before the platform was ready"));
            return Ok(());
        }
    };
    if !arguments.quiet {
        platform.welcome(begin).await;
    }
    let engines_failed = platform.engines.failed();
    let failure = tokio::select! {
        signal = signals.next() => {
            terminal::note(format!("{signal}: stopping; once more to end at once"));
            None
        }
        reason = platform.host.failed() => Some(reason),
        error = engines_failed => Some(error.to_string()),
    };
    tokio::select! {
        () = platform.stop() => {}
        () = signals.end_on_next() => {}
    }
    match failure {
        None => Ok(()),
        Some(reason) => Err(anyhow::anyhow!(reason)),
    }
}

impl Platform {
    /// Starts engines, migrates, starts the services and waits until everything is ready.
    pub(crate) async fn start(options: &Options, quiet: bool) -> Result<Self> {
        let mut config = Config::load(options)?;
        let root = running::root();
        if config.platform.data_dir == Config::defaults()?.platform.data_dir {
            // The default is relative to the folder of the project, not to the current one.
            config.set("data_dir", root.join("data"))?;
        }
        let telemetry = &config.platform.telemetry;
        if telemetry.format == chassis::LogFormat::Auto && telemetry.file.as_os_str().is_empty() {
            // The terminal is for people; what the services say is kept beside the engines' logs.
            config.set("telemetry.file", root.join("log/workos.log"))?;
        }
        let settings = settings(&config, &root);
        let engines = Engines::start(settings, move |progress: Progress| show(&progress, quiet)).await?;
        match Self::start_host(&mut config, engines.addresses()).await {
            Ok(host) => {
                let platform = Self { engines, host, root, config };
                platform.remember()?;
                Ok(platform)
            }
            Err(error) => {
                engines.stop().await;
                Err(error)
            }
        }
    }

    async fn start_host(config: &mut Config, addresses: &Addresses) -> Result<Host> {
        config.set("engines.postgres.url", &addresses.postgres)?;
        config.set("engines.postgres.admin_url", &addresses.postgres)?;
        config.set("engines.redis.url", &addresses.redis)?;
        config.set("engines.nats.url", &addresses.nats)?;
        config.set("engines.temporal.url", &addresses.temporal)?;
        chassis::migrate(&SERVICES, config).await.context("migrate the database")?;
        let users = addresses.nats_users.clone();
        let parts = Parts { nats: (!users.is_empty()).then(|| nats_sign_in(users)), ..Parts::default() };
        let host = Host::start(&SERVICES, config.clone(), parts).await?;
        if let Err(error) = host.ready().await {
            host.stop().await;
            return Err(error);
        }
        Ok(host)
    }

    /// Public address of the edge.
    pub(crate) fn gateway(&self) -> String {
        let listener = self.host.addresses().listeners.get("http").copied();
        listener.map_or_else(String::new, |address| format!("http://{address}"))
    }

    /// The one-time code for the first owner.
    pub(crate) async fn bootstrap_code(&self) -> Result<String> {
        bootstrap::new_code(&self.config).await
    }

    /// What people can open.
    pub(crate) fn places(&self) -> Vec<(String, String)> {
        running::places(
            &self.gateway(),
            &self.host.addresses().admin.to_string(),
            self.engines.addresses().temporal_ui.as_deref(),
        )
    }

    /// Writes where the platform is, for other commands of this folder.
    fn remember(&self) -> Result<()> {
        let ui = self.engines.addresses().temporal_ui.clone();
        running::Place {
            gateway: self.gateway(),
            admin: self.host.addresses().admin.to_string(),
            temporal_ui: ui,
            pid: std::process::id(),
        }
        .write(&self.root)
    }

    /// Stops services, then engines.
    pub(crate) async fn stop(self) {
        running::Place::forget(&self.root);
        for name in self.host.stop().await {
            terminal::note(format!("{name} did not end in time and was cut"));
        }
        self.engines.stop().await;
    }

    async fn welcome(&self, begin: Instant) {
        terminal::line("");
        terminal::line(terminal::bold(&format!("The platform is ready after {:.1} s.", begin.elapsed().as_secs_f64())));
        terminal::table(&self.places().into_iter().map(|(what, url)| vec![what, url]).collect::<Vec<_>>());
        let first = match bootstrap::is_completed(&self.gateway()).await {
            Ok(true) => "  ./dev demo [DIR]     the whole story, on your own files",
            _ => "  ./dev demo [DIR]     the whole story, on your own files; it also makes the first owner",
        };
        let log = format!("Logs: {}", self.root.join("log").display());
        for text in [
            log.as_str(),
            "",
            "Try next, in a second terminal:",
            first,
            "  ./dev grpcurl -plaintext 127.0.0.1:8080 list",
            "Stop with Ctrl-C.",
            "",
        ] {
            terminal::line(text);
        }
    }
}

type SignIn = Arc<dyn Fn(&str) -> (String, String) + Send + Sync>;

/// Each service signs in to NATS under its own name and may do there only what its contract says.
fn nats_sign_in(passwords: BTreeMap<String, String>) -> SignIn {
    Arc::new(move |service| (service.to_owned(), passwords.get(service).cloned().unwrap_or_default()))
}

fn settings(config: &Config, root: &Path) -> Settings {
    let engines = &config.platform.engines;
    let url = |url: &chassis::EngineUrl| (!url.is_empty()).then(|| url.reveal());
    let nats_users = SERVICES.iter().map(|spec| {
        let grants = events::grants(spec.name());
        NatsUser { name: spec.name().to_owned(), password: None, publish: grants.publish, subscribe: grants.subscribe }
    });
    let programs = [
        ("postgres", &engines.postgres.program),
        ("valkey", &engines.redis.program),
        ("nats", &engines.nats.program),
        ("temporal", &engines.temporal.program),
    ];
    Settings {
        root: root.to_owned(),
        mode: Mode::Up,
        postgres_url: url(&engines.postgres.url),
        redis_url: url(&engines.redis.url),
        nats_url: url(&engines.nats.url),
        temporal_url: url(&engines.temporal.url),
        account: (!engines.account.is_empty()).then(|| engines.account.clone()),
        programs: programs
            .into_iter()
            .filter(|(_, path)| !path.as_os_str().is_empty())
            .map(|(name, path)| (name.to_owned(), path.clone()))
            .collect(),
        nats_users: nats_users.collect(),
        ..Settings::default()
    }
}

fn show(progress: &Progress, quiet: bool) {
    if quiet {
        return;
    }
    if let Step::Ready { .. } = &progress.step {
        terminal::note(format!("  {:<10} ready after {:.1} s", progress.engine.name(), progress.elapsed.as_secs_f64()));
    }
}
