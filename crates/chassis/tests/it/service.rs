//! The smallest services there are: a schema, and what the chassis itself mounts.
use chassis::{BootError, Kit, Mount, ServiceSpec};
use futures::future::BoxFuture;

/// Platform tables only.
const MIGRATIONS: db::Migrations = db::Migrations { service: "document", files: &[] };

/// A service with a database; it offers `EventAdminService`, which the chassis mounts.
pub(crate) const DOCUMENT: ServiceSpec = ServiceSpec::new("document", nothing).migrations(MIGRATIONS);

fn nothing(_kit: Kit, _mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async { Ok(()) })
}
