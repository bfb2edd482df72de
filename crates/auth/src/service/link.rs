//! Links: made, opened, ended.
//!
//! A link is a principal that its holders share: what is given to it is theirs until it ends, by its time or because somebody deleted it.
//! Who opens one is a member with the secret. Whatever else he sends, he hears one answer, so that nobody learns which links there are.
use api::{CallContext, Caller, OrganizationId, UserId};
use db::{Record, Tx};
use subtle::ConstantTimeEq;

use super::{Auth, PageRequest, group::end_relations, limit};
use crate::{
    credential::{Handle, digest},
    error::{Authorization, Error},
    events,
    model::{LinkDraft, LinkName, Role, ShareLink, Subject, group_limit, link_limit},
    store,
};

/// Ended links that are cleared away at once.
const BATCH: i64 = 200;

impl Auth {
    /// Makes a link; gives it with its secret, which nobody is shown again.
    pub(crate) async fn create_link(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        draft: LinkDraft,
    ) -> Result<(ShareLink, String), Error> {
        Self::own(caller, organization)?;
        let (owner, now) = (caller.user_required()?, self.clock.now());
        let draft = draft.ends(now)?;
        let tx = self.db.tenant(caller).await?;
        // Under the lock of the organization, so that parallel calls do not pass a limit together.
        store::organization::lock(&tx, organization).await?;
        active(&tx, organization, owner).await?;
        for (count, most, what) in [
            (
                store::link::count_of(&tx, organization, owner, now).await?,
                link_limit::LINKS_OF_MEMBER,
                "links of a member",
            ),
            (store::link::count(&tx, organization, now).await?, link_limit::LINKS, "links"),
        ] {
            if count >= most {
                return Err(Authorization::Limit(what, most).into());
            }
        }
        let link = ShareLink {
            id: self.ids.next(),
            organization,
            owner,
            display_name: draft.display_name.0,
            expire_time: draft.expire_time,
            create_time: now,
            version: 1,
            holders: 0,
        };
        let secret = Handle::new();
        store::link::insert(&tx, &link, &secret.digest).await?;
        events::link_created(&tx, &link)?;
        tx.audit(told("link.created", &link));
        tx.commit().await?;
        Ok((link, secret.text))
    }

    /// A link that the caller may see: his own, or any for administrators.
    pub(crate) async fn link(&self, caller: &Caller, name: LinkName) -> Result<ShareLink, Error> {
        Self::own(caller, name.organization)?;
        let tx = self.db.tenant(caller).await?;
        self.seen(caller, &tx, name).await
    }

    /// A page of the links that the caller may see and that have not ended.
    pub(crate) async fn links(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        request: &PageRequest,
    ) -> Result<(Vec<ShareLink>, String), Error> {
        Self::own(caller, organization)?;
        let owner = if Self::role(caller) >= Some(Role::Admin) { None } else { Some(caller.user_required()?) };
        let binding = format!("{} {owner:?}", organization.name());
        let (after, size) = self.page(caller.context(), &binding, request)?;
        let tx = self.db.tenant(caller).await?;
        let which = (owner, self.clock.now());
        let rows = store::link::list(&tx, organization, which, after, limit(size)).await?;
        Ok(self.cut(caller.context(), &binding, rows, size, |link| link.id))
    }

    /// Ends a link; what was shared with it is its holders' no more.
    pub(crate) async fn delete_link(&self, caller: &Caller, name: LinkName) -> Result<(), Error> {
        Self::own(caller, name.organization)?;
        let tx = self.db.tenant(caller).await?;
        store::organization::lock(&tx, name.organization).await?;
        let link = self.seen(caller, &tx, name).await?;
        end(&tx, &link, "link.deleted").await?;
        tx.commit().await?;
        self.groups.changed(name.organization);
        Ok(())
    }

    /// Makes the caller a holder. Who is one already stays it.
    pub(crate) async fn open_link(&self, caller: &Caller, name: LinkName, secret: &str) -> Result<ShareLink, Error> {
        Self::own(caller, name.organization)?;
        let (user, now) = (caller.user_required()?, self.clock.now());
        let tx = self.db.tenant(caller).await?;
        store::organization::lock(&tx, name.organization).await?;
        let stored = store::link::digest(&tx, name).await?;
        // Compared also where there is none, so that the time says nothing.
        let fits = bool::from(stored.as_deref().unwrap_or(&[0; 32]).ct_eq(digest(secret).as_slice()));
        let found =
            store::link::get(&tx, name).await?.filter(|link| stored.is_some() && fits && link.expire_time > now);
        let link = found.ok_or(Authorization::LinkInvalid)?;
        active(&tx, name.organization, user).await?;
        if store::link::holds(&tx, name, user).await? {
            return Ok(link);
        }
        if link.holders >= link_limit::HOLDERS {
            return Err(Authorization::Limit("holders of a link", link_limit::HOLDERS.into()).into());
        }
        let next = ShareLink { version: link.version + 1, holders: link.holders + 1, ..link };
        store::link::hold(&tx, &next, user).await?;
        let most = group_limit::NAMES_OF_USER;
        let names = store::group::of_user(&tx, name.organization, user, (now, most + 1)).await?;
        if i64::try_from(names.len()).is_ok_and(|names| names > most) {
            return Err(Authorization::Limit("groups and links of a user", most).into());
        }
        events::link_opened(&tx, &next, user)?;
        tx.audit(told("link.opened", &next).with("holder", user.name()));
        tx.commit().await?;
        self.groups.changed_of(name.organization, user);
        Ok(next)
    }

    /// Ends links whose time is over. They give nothing any more; this ends what owners of resources say of them.
    pub(crate) async fn purge_links(&self, context: &CallContext) -> Result<(), Error> {
        loop {
            let tx = self.db.system("find links whose time is over", context).await?;
            let ended = store::link::ended(&tx, self.clock.now(), BATCH).await?;
            drop(tx);
            if ended.is_empty() {
                return Ok(());
            }
            for name in ended {
                let tx = self.db.tenant_as(name.organization, context).await?;
                store::organization::lock(&tx, name.organization).await?;
                if let Some(link) = store::link::get(&tx, name).await? {
                    end(&tx, &link, "link.expired").await?;
                }
                tx.commit().await?;
            }
        }
    }

    async fn seen(&self, caller: &Caller, tx: &Tx, name: LinkName) -> Result<ShareLink, Error> {
        let visible = |link: &ShareLink| Some(link.owner) == caller.user() || Self::role(caller) >= Some(Role::Admin);
        let found =
            store::link::get(tx, name).await?.filter(|link| visible(link) && link.expire_time > self.clock.now());
        Ok(caller.permit(found, |_| None, name)?)
    }
}

/// A token may be older than the end of a membership; the rows are not. The organization is locked.
async fn active(tx: &Tx, organization: OrganizationId, user: UserId) -> Result<(), Error> {
    match store::membership::active(tx, user, organization).await? {
        Some(_) => Ok(()),
        None => Err(api::Error::denied().into()),
    }
}

async fn end(tx: &Tx, link: &ShareLink, action: &str) -> Result<(), Error> {
    end_relations(tx, link.organization, Subject::Link(link.id)).await?;
    store::link::delete(tx, link.name()).await?;
    events::link_deleted(tx, link)?;
    tx.audit(told(action, link));
    Ok(())
}

/// What the audit log keeps of a link: never its secret.
fn told(action: &str, link: &ShareLink) -> Record {
    let record = Record::done(action).about(link.name()).with("display_name", &link.display_name);
    record.with("owner", link.owner.name()).with("expire_time", link.expire_time)
}
