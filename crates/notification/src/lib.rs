//! Notifications: what happened to things that concern somebody, in his inbox and by mail.
//!
//! Resources: inbox items, deliveries, captured mails. What must hold:
//! - One event makes one inbox item and one mail for each recipient, however often it is heard.
//! - The sequence of an inbox has no gap and nothing comes late, so a stream goes on where it was cut.
//! - An attempt is on record before anything goes on the wire; what became of it is never guessed: without an answer it is
//!   uncertain, and sent again only where the category says so.
//! - Everybody sees his own inbox alone. Addresses are asked for when a mail is sent, and not kept.
//!
//! Shares with everybody (`organizations/{o}#member`) notify nobody.
use std::sync::Arc;

use chassis::{BootError, Kit, Mount, Profile, ServiceSpec};
use futures::future::BoxFuture;
use proto::notification::v1::{
    delivery_service_server::DeliveryServiceServer, inbox_service_server::InboxServiceServer,
};

mod channel;
mod config;
mod error;
mod events;
mod metrics;
mod model;
mod peers;
mod rpc;
mod service;
mod store;

use crate::{
    channel::{Captured, MailChannel, Smtp},
    config::Config,
    peers::Users,
    rpc::{Pages, Rpc},
    service::{Notifications, Parts},
};

const MIGRATIONS: db::Migrations = db::migrations!("0001_notifications.sql");

/// The notification service.
pub const SERVICE: ServiceSpec = ServiceSpec::new("notification", boot).migrations(MIGRATIONS).config::<Config>();

fn boot(kit: Kit, mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async move {
        let config: Config = kit.config()?;
        let workers = config.workers;
        let pages = Pages::new(kit.sealer(), kit.clock(), &config);
        let parts = Parts {
            db: kit.db(),
            clock: kit.clock(),
            ids: kit.ids(),
            users: Users::new(kit.mesh()),
            channel: channel_of(&kit, &config)?,
            public_url: kit.public_url().to_owned(),
        };
        let notifications = Arc::new(Notifications::new(parts, config));
        let rpc = Rpc::new(notifications.clone(), pages);
        mount.rpc(mesh::rpc!(InboxServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(DeliveryServiceServer::new(rpc)));
        let hearing = notifications.clone();
        mount.consume(events::consumer(), move |delivery| {
            let notifications = hearing.clone();
            async move { notifications.heard(&delivery).await }
        });
        let hearing = notifications.clone();
        mount.erase(move |organization, context| {
            let notifications = hearing.clone();
            async move { notifications.erase(organization, &context).await }
        });
        for worker in 1..=workers {
            let notifications = notifications.clone();
            mount.task(format!("deliver {worker}"), move |shutdown| {
                let notifications = notifications.clone();
                async move { notifications.keep_delivering(shutdown).await }
            });
        }
        mount.task("sweep", move |shutdown| {
            let notifications = notifications.clone();
            async move { notifications.keep_sweeping(shutdown).await }
        });
        Ok(())
    })
}

/// Where mails go: to the server that is configured, else into the captured mailbox.
fn channel_of(kit: &Kit, config: &Config) -> Result<Arc<dyn MailChannel>, BootError> {
    if config.smtp_host.is_empty() {
        if kit.profile() == Profile::Prod {
            tracing::warn!("notification.smtp_host is empty: mails are captured and reach nobody");
        }
        return Ok(Arc::new(Captured::new(kit.db(), kit.clock(), kit.ids())));
    }
    Ok(Arc::new(Smtp::new(config).map_err(chassis::ConfigError::new)?))
}
