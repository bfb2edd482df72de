//! Every way in which engines can fail to run, each with what to do about it.

use std::io;
use std::path::PathBuf;

use crate::engine::Engine;

/// Why engines did not start, or do not run any longer.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No program is known for an engine without a URL.
    #[error(
        "no program for {engine} ({searched}): run `./dev` once to install the pinned engines, or set \
         engines.{engine}.program, or set the engine's url to use one that runs elsewhere"
    )]
    Missing {
        /// The engine.
        engine: Engine,
        /// Where it was looked for.
        searched: String,
    },
    /// The data folder belongs to another major version.
    #[error(
        "{engine}: the data in {folder} are of version {found}, the program is version {program}: dump them with the \
         old version and load them into the new one, or delete them with `./dev reset`"
    )]
    OtherVersion {
        /// The engine.
        engine: Engine,
        /// Its data folder.
        folder: PathBuf,
        /// Version that wrote the data.
        found: String,
        /// Version of the program.
        program: String,
    },
    /// The data folder is there, the passwords made with it are not.
    #[error(
        "{data} exists but {secrets} with its passwords does not: restore that file, or delete the data with \
         `./dev reset`"
    )]
    SecretsLost {
        /// The data folder.
        data: PathBuf,
        /// The file that is gone.
        secrets: PathBuf,
    },
    /// One `up` per folder.
    #[error("another `up` (process {pid}) works in {folder}: stop it first, or use another folder")]
    Running {
        /// The folder.
        folder: PathBuf,
        /// The process that holds its lock, as it wrote it.
        pid: String,
    },
    /// A setting is wrong.
    #[error("{0}")]
    Configuration(String),
    /// The system refused something.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried, with the path.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// The engine ended before it was ready.
    #[error("{engine} ended while starting ({status}); its last lines, all of them are in {log}:\n{tail}")]
    Died {
        /// The engine.
        engine: Engine,
        /// How it ended.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The end of its output.
        tail: String,
    },
    /// The engine runs but does not answer.
    #[error("{engine} did not answer within {seconds} s ({last}); its last lines, all of them are in {log}:\n{tail}")]
    Silent {
        /// The engine.
        engine: Engine,
        /// How long it was waited for.
        seconds: u64,
        /// The last answer.
        last: String,
        /// Its log file.
        log: PathBuf,
        /// The end of its output.
        tail: String,
    },
    /// The one before it does not stop.
    #[error("the previous {engine} still runs after {seconds} s: end it ({lock} names its lock), then start again")]
    Occupied {
        /// The engine.
        engine: Engine,
        /// How long it was waited for.
        seconds: u64,
        /// The lock file that it holds.
        lock: PathBuf,
    },
    /// The start was given up before it was ready.
    #[error("the start of {engine} was given up: it was asked to stop, or another engine failed")]
    Interrupted {
        /// The engine.
        engine: Engine,
    },
    /// It ended again and again.
    #[error("{engine} ended {count} times within a minute and is not restarted any more; its log is {log}")]
    Unstable {
        /// The engine.
        engine: Engine,
        /// How often.
        count: usize,
        /// Its log file.
        log: PathBuf,
    },
}

impl EngineError {
    /// The exit code for a program that ends because of this: 78 for configuration, 70 otherwise (`sysexits.h`).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Missing { .. }
            | Self::OtherVersion { .. }
            | Self::SecretsLost { .. }
            | Self::Running { .. }
            | Self::Configuration(_) => 78,
            Self::Io { .. }
            | Self::Died { .. }
            | Self::Silent { .. }
            | Self::Occupied { .. }
            | Self::Interrupted { .. }
            | Self::Unstable { .. } => 70,
        }
    }
}

/// Says what was tried when the system refuses.
pub(crate) trait Doing<T> {
    /// Wraps the error; the text is made only when there is one.
    fn doing(self, text: impl FnOnce() -> String) -> Result<T, EngineError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, text: impl FnOnce() -> String) -> Result<T, EngineError> {
        self.map_err(|source| EngineError::Io { doing: text(), source })
    }
}

impl<T> Doing<T> for nix::Result<T> {
    fn doing(self, text: impl FnOnce() -> String) -> Result<T, EngineError> {
        self.map_err(io::Error::from).doing(text)
    }
}
