//! Inboxes: list, mark.
use api::{Caller, Id};
use futures::try_join;

use super::{Notifications, only_own};
use crate::{
    error::Error,
    model::{InboxItem, InboxName, ItemName, Listed, Window},
    store,
};

impl Notifications {
    /// Lists items, newest first, with the number of all unread ones.
    pub(crate) async fn list_items(
        &self,
        caller: &Caller,
        inbox: InboxName,
        unread_only: bool,
        window: Window<i64>,
    ) -> Result<(Listed<InboxItem, i64>, i64), Error> {
        only_own(caller, inbox)?;
        let tx = self.parts.db.tenant(caller).await?;
        let (rows, unread) =
            try_join!(store::inbox::list(&tx, inbox, unread_only, &window), store::inbox::unread(&tx, inbox))?;
        Ok((window.page(rows, |last| last.sequence), unread))
    }

    /// Marks items as read or unread, or all items when none is named; says how many changed.
    pub(crate) async fn mark_items(
        &self,
        caller: &Caller,
        inbox: InboxName,
        items: &[Id],
        read: bool,
    ) -> Result<u64, Error> {
        only_own(caller, inbox)?;
        let tx = self.parts.db.tenant(caller).await?;
        if let Some(item) = store::inbox::missing(&tx, inbox, items).await? {
            let name = ItemName { organization: inbox.organization, user: inbox.user, item };
            return Err(Error::ItemNotFound(name.to_string()));
        }
        let items = Some(items).filter(|items| !items.is_empty());
        let changed = store::inbox::mark(&tx, inbox, items, read).await?;
        tx.commit().await?;
        Ok(changed)
    }
}
