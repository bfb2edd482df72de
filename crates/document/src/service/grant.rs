//! Grants: create, list, delete. Each change raises the document's version, so that the index hears of it in order.
use api::{Caller, Id};
use futures::try_join;

use super::{Attempt, Change, Documents, remember};
use crate::{
    error::Error,
    events,
    model::{DocumentName, Grant, GrantDraft, GrantName, Listed, Window, limit},
    store,
};

impl Documents {
    /// Shares a document. The grant takes the place of an earlier one of the same principal, under the same name.
    pub(crate) async fn create_grant(
        &self,
        caller: &Caller,
        draft: GrantDraft,
        attempt: &Attempt,
    ) -> Result<Grant, Error> {
        let Some(change) = self.begin(caller, draft.document, attempt).await? else {
            return self.grant_given(caller, draft).await;
        };
        change.current.document.changeable("")?;
        if change.shared.is_some_and(|shared| !shared.covers(&draft)) {
            // Unless a group might give more.
            change.principals.whole()?;
            return Err(Error::GrantTooWide);
        }
        let now = self.clock.now();
        if draft.expire_time.is_some_and(|end| end <= now) {
            return Err(
                api::Error::invalid_field("grant.expire_time", "has passed; send a time to come, or none").into()
            );
        }
        let (earlier, grants) = try_join!(
            store::grant::of_principal(&change.tx, draft.document, &draft.principal),
            store::grant::count_of(&change.tx, draft.document)
        )?;
        if earlier.is_none() && grants >= limit::GRANTS {
            return Err(Error::LimitReached { what: "grants", limit: limit::GRANTS });
        }
        if let Some(earlier) = earlier.clone().filter(|earlier| earlier.says(&draft)) {
            let name = earlier.name.document().to_string();
            return remember(change.tx, &change.request_id, &name).await.map(|()| earlier);
        }
        let had_access = earlier.as_ref().is_some_and(|earlier| earlier.holds(now));
        let grant = draft.grant(earlier.map_or_else(|| self.ids.next(), |earlier| earlier.name.grant), now);
        store::grant::put(&change.tx, &grant).await?;
        let gained = if had_access { Vec::new() } else { vec![grant.principal.as_str().to_owned()] };
        change.share_anew(gained, Vec::new()).await?;
        Ok(grant)
    }

    /// Lists the grants of a document that hold.
    pub(crate) async fn list_grants(
        &self,
        caller: &Caller,
        document: DocumentName,
        window: Window<Id>,
    ) -> Result<Listed<Grant, Id>, Error> {
        let viewer = self.viewer(caller).await;
        let tx = self.db.tenant(caller).await?;
        let (access, rows) = try_join!(
            store::document::access(&tx, document, &viewer),
            store::grant::list(&tx, document, viewer.now, &window)
        )?;
        viewer.principals.decided(caller.permit(access, |access| access.share, document))?;
        Ok(window.page(rows, |last| last.name.grant))
    }

    /// Ends a grant, also of a document in the trash.
    pub(crate) async fn delete_grant(&self, caller: &Caller, name: GrantName, attempt: &Attempt) -> Result<(), Error> {
        let Some(change) = self.begin(caller, name.document(), attempt).await? else {
            return Ok(());
        };
        let deleted = store::grant::delete(&change.tx, name).await?;
        let grant = caller.permit(deleted, |_| change.shared.map(|shared| shared.role), name)?;
        change.share_anew(Vec::new(), vec![grant.principal.as_str().to_owned()]).await
    }

    /// The answer to a repeated request: the grant as it is now.
    async fn grant_given(&self, caller: &Caller, draft: GrantDraft) -> Result<Grant, Error> {
        let viewer = self.viewer(caller).await;
        let tx = self.db.tenant(caller).await?;
        let (access, grant) = try_join!(
            store::document::access(&tx, draft.document, &viewer),
            store::grant::of_principal(&tx, draft.document, &draft.principal)
        )?;
        let access = viewer.principals.decided(caller.permit(access, |access| access.share, draft.document))?;
        let share = access.share;
        Ok(caller.permit(grant, |_| share, draft.document)?)
    }
}

impl Change {
    /// Ends a change of grants.
    async fn share_anew(self, gained: Vec<String>, lost: Vec<String>) -> Result<(), Error> {
        let next = self.current.document.next();
        let grants = store::grant::all(&self.tx, next.name).await?;
        let event = events::grants_changed(next.name, next.title.clone(), (gained, lost), &grants);
        self.save(next, event).await.map(drop)
    }
}
