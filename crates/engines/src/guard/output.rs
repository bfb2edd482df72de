//! What an engine says: into its log file, which cannot grow without end, and on to the parent while there is one.
//! The engine never waits for the parent: what does not fit into the pipe is only in the file.

use std::fs::{File, OpenOptions};
use std::io::{PipeReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::task::JoinHandle;

/// A log that reaches this size becomes `<name>.old`, and a new one begins: at most twice this per engine.
const LIMIT: u64 = 16 * 1024 * 1024;

/// The copying, while it goes on.
pub(super) struct Output(JoinHandle<()>);

impl Output {
    /// Waits for the rest; not for long, since a grandchild may hold the pipe.
    pub(super) async fn finish(self) {
        let mut task = self.0;
        if tokio::time::timeout(Duration::from_millis(500), &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// Starts to copy.
pub(super) fn copy(reader: PipeReader, path: PathBuf) -> std::io::Result<Output> {
    let mut receiver = Receiver::from_owned_fd(OwnedFd::from(reader))?;
    let parent = Sender::from_owned_fd(std::io::stdout().as_fd().try_clone_to_owned()?).ok();
    let mut log = Log::open(path);
    #[expect(clippy::disallowed_methods, reason = "the guard has no chassis; the handle is kept in Output")]
    let task = tokio::spawn(async move {
        let mut buffer = vec![0_u8; 16 * 1024];
        while let Ok(length @ 1..) = receiver.read(&mut buffer).await {
            log.write(&buffer[..length]);
            if let Some(parent) = &parent {
                let _ = parent.try_write(&buffer[..length]);
            }
        }
    });
    Ok(Output(task))
}

/// A log file with a limit. A full disk loses lines, never the engine.
struct Log {
    path: PathBuf,
    file: Option<File>,
    size: u64,
}

impl Log {
    fn open(path: PathBuf) -> Log {
        let mut log = Log { path, file: None, size: 0 };
        log.reopen();
        log
    }

    fn reopen(&mut self) {
        self.file = OpenOptions::new().create(true).append(true).open(&self.path).ok();
        self.size = self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |data| data.len());
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.size > LIMIT {
            let _ = std::fs::rename(&self.path, self.path.with_extension("old"));
            self.reopen();
        }
        if self.file.as_mut().is_some_and(|file| file.write_all(bytes).is_ok()) {
            self.size += bytes.len() as u64;
        }
    }
}
