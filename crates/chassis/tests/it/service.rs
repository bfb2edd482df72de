//! The smallest services there are: a schema, and what the chassis itself mounts.
use api::CallContext;
use bytes::Bytes;
use chassis::{BootError, Kit, Mount, ServiceSpec};
use futures::future::BoxFuture;
use http::Response;

/// Platform tables only.
const MIGRATIONS: db::Migrations = db::Migrations { service: "document", files: &[] };

/// A service with a database; it offers `EventAdminService`, which the chassis mounts, and a page that asks the database.
pub(crate) const DOCUMENT: ServiceSpec = ServiceSpec::new("document", start).migrations(MIGRATIONS);

fn start(kit: Kit, mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    mount.admin_route("/ask", move |_| {
        let kit = kit.clone();
        async move { Response::new(Bytes::from(ask(&kit).await)) }
    });
    Box::pin(async { Ok(()) })
}

/// The code of the answer, and whether it says when to try again.
async fn ask(kit: &Kit) -> String {
    let context = CallContext::background("ask", &kit.ids());
    let asked: Result<(), db::Error> = async {
        let tx = kit.db().system("test", &context).await?;
        tx.query_one("select 1", &[]).await.map(drop)
    }
    .await;
    match asked.map_err(api::Error::from) {
        Ok(()) => "Ok".to_owned(),
        Err(error) => format!("{:?} retry={}", error.code(), error.retry_delay().is_some()),
    }
}
