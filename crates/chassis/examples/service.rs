//! A service with a schema and nothing of its own: the smallest thin binary. Tests of this crate run it as a process.
use std::process::ExitCode;

use chassis::{BootError, Kit, Mount, ServiceSpec};
use futures::future::BoxFuture;

/// Platform tables only.
const MIGRATIONS: db::Migrations = db::Migrations { service: "document", files: &[] };
const SERVICE: ServiceSpec = ServiceSpec::new("document", start).migrations(MIGRATIONS);

fn start(_kit: Kit, mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async move {
        // The second signal must find something that does not stop by itself.
        mount.task("stubborn", |_shutdown| std::future::pending::<()>());
        Ok(())
    })
}

fn main() -> ExitCode {
    chassis::main(&[&SERVICE])
}
