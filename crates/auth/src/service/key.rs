//! API keys and service accounts.
//!
//! A key's rights are its scopes and, of those, what its owner may at that moment: each exchange reads the owner's membership again. No
//! key makes another: that takes a session, so that a leaked key cannot outlive its end.
use api::{CallContext, Caller, Etag, OrganizationId, UserId};
use authz::{Credential, Subject};
use db::Record;
use futures::FutureExt;
use rand::RngExt;
use time::{Duration, OffsetDateTime};

use super::{
    Auth, HOPS, Once, PageRequest, limit,
    token::{Ground, InternalToken},
};
use crate::{
    credential::digest,
    error::Error,
    model::{
        ApiKey, ApiKeyName, DisplayName, KEYS_MAX, MembershipName, NewApiKey, RevocationKind, Role, ServiceAccount,
        ServiceAccountName, Session,
    },
    store::{self, revocation::Owner},
};

/// Life of a token from a key.
const KEY_LIFE: Duration = Duration::minutes(5);

impl Auth {
    /// Makes a key; gives it with its secret.
    pub(crate) async fn create_api_key(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        new: NewApiKey,
    ) -> Result<(ApiKey, String), Error> {
        Self::own(caller, organization)?;
        let now = self.clock.now();
        new.check_end(now)?;
        let oneself = caller.user_required()?;
        let owner = new.owner.unwrap_or(oneself);
        let tx = self.db.tenant(caller).await?;
        // Under the lock of the organization, so that parallel calls do not pass the limit together.
        store::organization::lock(&tx, organization).await?;
        in_person_till_the_end(&tx, caller).await?;
        let of_service = owner != oneself;
        if of_service {
            self.manageable(caller, &tx, organization, owner).await?;
        }
        if store::api_key::count(&tx, organization, owner, now).await? >= KEYS_MAX {
            return Err(Error::TooManyKeys);
        }
        let key = ApiKey {
            id: self.ids.next(),
            organization,
            owner,
            of_service,
            display_name: new.display_name.0,
            scopes: new.scopes.0,
            expire_time: new.expire_time,
            create_time: now,
            last_use_time: None,
            version: 1,
        };
        let secret = new_secret();
        store::api_key::insert(&tx, &key, &digest(&secret)).await?;
        tx.audit(told("api_key.created", &key));
        tx.commit().await?;
        Ok((key, secret))
    }

    /// Keys of others are those of service accounts, for administrators who could give their roles.
    async fn manageable(
        &self,
        caller: &Caller,
        tx: &db::Tx,
        organization: OrganizationId,
        owner: UserId,
    ) -> Result<(), Error> {
        let account = store::api_key::account(tx, organization, owner).await?;
        let account = account.filter(|_| Self::role(caller) >= Some(Role::Admin)).ok_or_else(api::Error::denied)?;
        let member = store::membership::of_user(tx, owner, organization).await?;
        let custom = member.map(|member| member.custom_roles).unwrap_or_default();
        self.may_touch(caller, tx, account.role, &custom).await
    }

    /// A key that the caller may see: his own, or any for administrators.
    pub(crate) async fn api_key(&self, caller: &Caller, name: ApiKeyName) -> Result<ApiKey, Error> {
        Self::own(caller, name.organization)?;
        let tx = self.db.tenant(caller).await?;
        Self::visible_key(caller, &tx, name, false).await
    }

    async fn visible_key(caller: &Caller, tx: &db::Tx, name: ApiKeyName, locked: bool) -> Result<ApiKey, Error> {
        let found = store::api_key::get(tx, name, locked).await?;
        let visible = |key: &ApiKey| Some(key.owner) == caller.user() || Self::role(caller) >= Some(Role::Admin);
        Ok(caller.permit(found.filter(visible), |_| None, name)?)
    }

    /// A page of the keys that the caller may see.
    pub(crate) async fn api_keys(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        request: &PageRequest,
    ) -> Result<(Vec<ApiKey>, String), Error> {
        Self::own(caller, organization)?;
        let owner = if Self::role(caller) >= Some(Role::Admin) { None } else { Some(caller.user_required()?) };
        let binding = format!("{} {owner:?}", organization.name());
        let (after, size) = self.page(caller.context(), &binding, request)?;
        let tx = self.db.tenant(caller).await?;
        let rows = store::api_key::list(&tx, organization, owner, after, limit(size)).await?;
        Ok(self.cut(caller.context(), &binding, rows, size, |key| key.id))
    }

    /// Renames a key: one's own, or one of a service account.
    pub(crate) async fn rename_api_key(
        &self,
        caller: &Caller,
        name: ApiKeyName,
        etag: &str,
        display_name: Option<DisplayName>,
    ) -> Result<ApiKey, Error> {
        Self::own(caller, name.organization)?;
        let tx = self.db.tenant(caller).await?;
        in_person(&tx, caller).await?;
        let mut key = Self::visible_key(caller, &tx, name, true).await?;
        if Some(key.owner) != caller.user() {
            self.manageable(caller, &tx, name.organization, key.owner).await?;
        }
        Etag::check(etag, key.version)?;
        if let Some(DisplayName(text)) = display_name.filter(|text| text.0 != key.display_name) {
            (key.display_name, key.version) = (text, key.version + 1);
            store::api_key::rename(&tx, &key).await?;
            tx.audit(told("api_key.updated", &key));
        }
        tx.commit().await?;
        Ok(key)
    }

    /// Ends a key at once; nobody touches that of who stands above him.
    pub(crate) async fn delete_api_key(&self, caller: &Caller, name: ApiKeyName) -> Result<(), Error> {
        let key = self.api_key(caller, name).await?;
        let tx = self.change(self.db.tenant(caller).await?);
        store::organization::lock(&tx, name.organization).await?;
        if Some(key.owner) != caller.user()
            && let Some(owner) = store::membership::of_user(&tx, key.owner, name.organization).await?
        {
            self.may_touch(caller, &tx, owner.role, &owner.custom_roles).await?;
        }
        if store::api_key::delete(&tx, name).await? {
            self.revoke(&tx, RevocationKind::Key(key.id), owner(&key), false).await?;
            tx.audit(told("api_key.deleted", &key));
        }
        tx.commit().await
    }

    /// Gives a key another secret; what rests on the one before is void.
    pub(crate) async fn rotate_api_key(&self, caller: &Caller, name: ApiKeyName) -> Result<(ApiKey, String), Error> {
        let mut key = self.api_key(caller, name).await?;
        let tx = self.change(self.db.tenant(caller).await?);
        in_person(&tx, caller).await?;
        if Some(key.owner) != caller.user() {
            self.manageable(caller, &tx, name.organization, key.owner).await?;
        }
        let secret = new_secret();
        let rotated = store::api_key::rotate(&tx, name, &digest(&secret), self.clock.now()).await?;
        key.version = rotated.ok_or_else(|| api::Error::not_found(name))?;
        self.revoke(&tx, RevocationKind::Key(key.id), owner(&key), false).await?;
        tx.audit(told("api_key.rotated", &key));
        tx.commit().await?;
        Ok((key, secret))
    }

    /// Exchanges a key. Garbage does not come so far: the checksum is tested before any query.
    pub(crate) async fn exchange_api_key(&self, context: &CallContext, secret: &str) -> Result<InternalToken, Error> {
        if !authz::api_key::is_well_formed(secret) {
            return Err(Error::CredentialInvalid);
        }
        self.minted("key", |now| self.ground_of_key(context, secret, now).boxed()).await
    }

    async fn ground_of_key(&self, context: &CallContext, secret: &str, now: OffsetDateTime) -> Result<Ground, Error> {
        let tx = self.db.system("exchange an API key", context).await?;
        let key = store::api_key::find(&tx, &digest(secret)).await?.filter(|key| now < key.expire_time);
        let key = key.ok_or(Error::CredentialInvalid)?;
        let member = store::membership::active(&tx, key.owner, key.organization).await?;
        let member = member.ok_or(Error::CredentialInvalid)?;
        let what = [
            RevocationKind::Key(key.id),
            RevocationKind::Member(key.owner, key.organization),
            RevocationKind::User(key.owner),
            RevocationKind::Tenant(key.organization),
        ];
        let live = store::revocation::of(&tx, &what, now).await?;
        store::api_key::touch(&tx, key.name(), now).await?;
        tx.commit().await?;
        let subject = Subject {
            user: key.owner,
            organization: Some(key.organization),
            role: member.role.and_then(|role| (role as i32 + 1).try_into().ok()),
            custom_roles: member.custom_roles,
            credential: Credential::Key(key.id.to_string()),
            client: "api-key".to_owned(),
            scopes: key.scopes,
            acting: None,
            amr: Vec::new(),
            acr: 0,
            auth_time: None,
            methods: Vec::new(),
        };
        Ok(Ground { subject, live, expire_time: key.expire_time.min(now + KEY_LIFE), rest: HOPS })
    }

    /// Makes a service account.
    pub(crate) async fn create_service_account(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        display_name: DisplayName,
        role: Option<Role>,
        once: &Once,
    ) -> Result<ServiceAccount, Error> {
        Self::own(caller, organization)?;
        let tx = self.db.tenant(caller).await?;
        store::organization::lock(&tx, organization).await?;
        in_person_till_the_end(&tx, caller).await?;
        if let Some(first) = once.replay(&tx).await? {
            return Ok(first);
        }
        self.may_give(caller, &tx, role, &[]).await?;
        let (user, create_time) = (UserId(self.ids.next()), self.clock.now());
        let account = ServiceAccount { organization, user, display_name: display_name.0, role, create_time };
        store::api_key::insert_account(&tx, &account).await?;
        tx.audit(Record::done("service_account.created").about(account.name()));
        self.add_member(&tx, organization, user, role).await?;
        once.remember(&tx, &account)?;
        tx.commit().await?;
        Ok(account)
    }

    /// A service account.
    pub(crate) async fn service_account(
        &self,
        caller: &Caller,
        name: ServiceAccountName,
    ) -> Result<ServiceAccount, Error> {
        Self::own(caller, name.organization)?;
        let tx = self.db.tenant(caller).await?;
        let found = store::api_key::account(&tx, name.organization, UserId(name.account)).await?;
        Ok(caller.permit(found, |_| None, name)?)
    }

    /// A page of service accounts.
    pub(crate) async fn service_accounts(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        request: &PageRequest,
    ) -> Result<(Vec<ServiceAccount>, String), Error> {
        Self::own(caller, organization)?;
        let binding = organization.name();
        let (after, size) = self.page(caller.context(), &binding, request)?;
        let tx = self.db.tenant(caller).await?;
        let rows = store::api_key::accounts(&tx, organization, after, limit(size)).await?;
        Ok(self.cut(caller.context(), &binding, rows, size, |account| account.user.0))
    }

    /// Ends a service account with its membership and keys.
    pub(crate) async fn delete_service_account(&self, caller: &Caller, name: ServiceAccountName) -> Result<(), Error> {
        let account = self.service_account(caller, name).await?;
        let tx = self.change(self.db.tenant(caller).await?);
        store::organization::lock(&tx, name.organization).await?;
        let member = store::membership::of_user(&tx, account.user, name.organization).await?;
        let member = member.ok_or_else(|| api::Error::not_found(name.to_string()))?;
        self.may_touch(caller, &tx, member.role, &member.custom_roles).await?;
        // Should there be no owner beside it, the organization would be nobody's.
        self.keep_an_owner(&tx, &member, None).await?;
        self.end_membership(&tx, &member).await?;
        store::user::mark_deleted(&tx, account.user, self.clock.now()).await?;
        store::membership::delete(&tx, MembershipName { organization: name.organization, membership: member.id })
            .await?;
        tx.audit(Record::done("service_account.deleted").about(name));
        tx.commit().await
    }
}

/// Credentials are made, changed and given by people who have signed in themselves. An application that acts for somebody within
/// scopes would otherwise make a credential that goes beyond them and outlives its consent.
pub(super) async fn in_person(tx: &db::Tx, caller: &Caller) -> Result<Session, Error> {
    person(tx, caller, false).await
}

/// The same, in a session that does not end before the transaction: what ends all that somebody has ends his sessions first, and then
/// finds what is made here. The organization is locked before, in the order of what ends a membership.
pub(super) async fn in_person_till_the_end(tx: &db::Tx, caller: &Caller) -> Result<Session, Error> {
    person(tx, caller, true).await
}

async fn person(tx: &db::Tx, caller: &Caller, locked: bool) -> Result<Session, Error> {
    let session = caller.session().and_then(|session| session.parse().ok()).ok_or(Error::SignInNeeded)?;
    let found = store::session::get(tx, session, locked).await?.map(|(session, _)| session);
    found.filter(|session| session.scopes.has("*") && caller.acting().is_none()).ok_or(Error::SignInNeeded)
}

fn new_secret() -> String {
    let mut random = rand::rng();
    authz::api_key::write(|| random.random_range(0..62))
}

fn owner(key: &ApiKey) -> Owner {
    Owner { organization: Some(key.organization), user: Some(key.owner) }
}

/// What the audit log keeps of a key.
fn told(action: &str, key: &ApiKey) -> Record {
    Record::done(action).about(key.name()).with("owner", key.owner.name()).with_all("scopes", &key.scopes)
}
