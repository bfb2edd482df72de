//! A NATS server that belongs to one test, so that it can be killed, restarted, and given users. Synced on every message.
use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use crate::world::{Nats, eventually};

/// The server and its data. Both go with it.
pub(crate) struct Server {
    folder: PathBuf,
    port: u16,
    users: String,
    child: Child,
}

impl Server {
    /// Starts a server; `users` is the content of `authorization { users: [..] }`, empty for none.
    pub(crate) async fn start(name: &str, users: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("workos-events-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .expect("loopback has a free port")
            .port();
        let child = spawn(&folder, port, users);
        let server = Self { folder, port, users: users.to_owned(), child };
        server.answers().await;
        server
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// This server, signed in as nobody in particular.
    pub(crate) fn nats(&self) -> Nats {
        Nats { url: format!("nats://{}", self.address()), user: String::new(), password: String::new() }
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// Starts it again on the same port with what is on disk.
    pub(crate) async fn restart(&mut self) {
        self.child = spawn(&self.folder, self.port, &self.users);
        self.answers().await;
    }

    async fn answers(&self) {
        eventually("the server listens", || async { tokio::net::TcpStream::connect(self.address()).await.ok() }).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[expect(clippy::disallowed_methods, reason = "the test kills this server, which the shared engines must survive")]
fn spawn(folder: &std::path::Path, port: u16, users: &str) -> Child {
    let store = folder.join("data");
    let authorization =
        if users.is_empty() { String::new() } else { format!("authorization {{ users: [{users}] }}\n") };
    let config = format!(
        "host: 127.0.0.1\nport: {port}\njetstream {{ store_dir: {:?}, sync_interval: always, max_file: 4GB }}\n{authorization}",
        store.display().to_string()
    );
    let file = folder.join("nats.conf");
    std::fs::write(&file, config).expect("the temporary folder is writable");
    let mut command = Command::new(program());
    command.arg("-c").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the pinned nats-server starts")
}

/// The pinned server, as `engines.toml` of the tools folder names it.
#[expect(clippy::disallowed_methods, reason = "CI keeps the tools folder outside the clone and says where")]
fn program() -> PathBuf {
    let here = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.workos/tools");
    let tools = std::env::var_os("WORKOS_TOOLS_DIR").map_or_else(here, PathBuf::from);
    let folders = std::fs::read_dir(&tools).unwrap_or_else(|error| panic!("{}: {error}; run `./dev`", tools.display()));
    let mut found: Vec<_> =
        folders.filter_map(|folder| std::fs::read_to_string(folder.ok()?.path().join("engines.toml")).ok()).collect();
    found.sort();
    let text = found.pop().unwrap_or_else(|| panic!("no engines.toml below {}; run `./dev`", tools.display()));
    let section = text.split("[nats]").nth(1).expect("engines.toml names NATS");
    let line = section.lines().find(|line| line.starts_with("program")).expect("engines.toml names its program");
    PathBuf::from(line.split('"').nth(1).expect("the program is quoted"))
}
