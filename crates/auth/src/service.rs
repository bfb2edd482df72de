//! Use cases of identity: one method per RPC; permissions, transactions, events.
//!
//! A revocation is written in the transaction of its cause and published with it. What a token says about rights is never believed for
//! longer than its life: each exchange and each refresh reads the membership again.

mod audit;
mod authorize;
mod bootstrap;
mod browser;
mod check;
mod client;
mod code;
mod consent;
mod custom_role;
mod delegation;
mod device;
mod exchange;
mod factor;
mod factor_reset;
mod group;
mod impersonation;
mod introspection;
mod invitation;
mod key;
mod life;
mod link;
mod listing;
mod lockout;
mod login;
mod machine;
mod mail;
mod membership;
mod oauth;
mod operator;
mod organization;
mod passkey;
mod passkey_login;
mod projection;
mod proven;
mod provider;
mod relation;
mod rewrap;
mod second_factor;
mod session;
mod signing_key;
mod social;
mod start;
mod token;
mod user;

use std::{
    ops::Deref,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use api::{CallContext, Caller, Clock, Id, Ids, OrganizationId, Page, Sealer};
use db::{Db, Replay, Tx};
use serde::{Serialize, de::DeserializeOwned};
use time::{Duration, OffsetDateTime};
use tokio::sync::{Notify, watch};

use crate::{
    config::Config,
    credential::{DeviceKey, HashPool, Keyring, MailKey, Passkeys, Vault, hmac},
    error::Error,
    events, metrics,
    model::{Revocation, RevocationKind, Role},
    oidc::Upstreams,
    store::{self, revocation::Owner},
};

pub use audit::Verified;
pub(crate) use audit::verify as verify_audit;
pub(crate) use authorize::{Outcome, PUSHED_LIFE, Shown};
pub(crate) use bootstrap::{FirstOwner, operators_link};
pub(crate) use browser::{Ended, SignOut, Visitor};
pub(crate) use check::Explanation;
pub(crate) use client::Presented;
pub(crate) use custom_role::Directory;
pub(crate) use device::DeviceAnswer;
pub(crate) use introspection::{Introspected, UserInfo};
pub(crate) use invitation::Lookup;
pub(crate) use listing::Listing;
pub(crate) use login::{FirstFactor, FlowStart, Step};
pub(crate) use mail::{FromMail, MailText, SignUp};
pub(crate) use membership::NewRoles;
pub(crate) use oauth::{Answer, Exchange, Grant};
pub use operator::{Operator, Successor};
pub(crate) use passkey::NewPasskey;
pub(crate) use provider::ProviderChange;
pub(crate) use relation::Filter;
pub use rewrap::Rewrapped;
pub(crate) use signing_key::KeyShown;
pub(crate) use social::Returned;
pub(crate) use start::Secrets;
pub(crate) use user::NewUser;

/// What a Biscuit may outlive its access token by: the longest deadline, so that a call begun in the last second finishes its hops.
const HOPS: Duration = Duration::seconds(60);
/// What clocks may differ by.
const SKEW: Duration = Duration::seconds(5);

/// The identity service.
pub(crate) struct Auth {
    db: Db,
    clock: Clock,
    ids: Ids,
    sealer: Sealer,
    config: Config,
    hashes: HashPool,
    /// The opened keys, and those that replaced them.
    keys: watch::Sender<Option<Arc<Keyring>>>,
    /// Key of the counters of attempts, derived from the pepper.
    identifiers: [u8; 32],
    /// Whose turn it is to guess.
    turns: lockout::Turns,
    /// Marks of devices that have signed somebody in.
    devices: DeviceKey,
    /// The relying party of passkeys.
    passkeys: Passkeys,
    /// The way to identity providers.
    upstreams: Upstreams,
    /// Seals secrets for the database.
    vault: Vault,
    /// Makes what mails carry.
    mail_key: MailKey,
    /// Told when entries of the audit log got their place.
    news: audit::News,
    /// Signalled when somebody has asked for a mail.
    mails: Notify,
    /// The public URL: issuer and audience of access tokens.
    issuer: String,
    /// Where the bootstrap link is written.
    data_dir: PathBuf,
    /// What the verifiers of this process hold.
    verifiers: authz::Revocations,
    /// What custom roles allow, as the verifiers of this process hold it.
    directory: authz::Directory,
    /// What the services of this process hold of groups.
    groups: chassis::Groups,
    /// The same of keys.
    verify_keys: authz::Keys,
}

/// A request that may come twice.
pub(crate) struct Once {
    /// The client's request id; empty when it does not care.
    request_id: String,
    /// Fingerprint of the request, with secrets replaced by their MAC.
    fingerprint: [u8; 32],
}

impl Once {
    /// Marks a request. It is fingerprinted as it is: secrets in it are masked before.
    pub(crate) fn new(caller: &Caller, request_id: &str, request: &impl prost::Message) -> Self {
        Self { request_id: request_id.to_owned(), fingerprint: db::fingerprint(&caller.context().method, request) }
    }

    /// As [`Once::new`], for a system transaction, where nothing else keeps the request ids of two people apart.
    pub(crate) fn of_person(caller: &Caller, request_id: &str, request: &impl prost::Message) -> Result<Self, Error> {
        let user = caller.user_required()?;
        let scoped = if request_id.is_empty() { String::new() } else { format!("{user}/{request_id}") };
        Ok(Self::new(caller, &scoped, request))
    }

    /// The answer of the first request, if this is not it.
    async fn replay<T: DeserializeOwned>(&self, tx: &Tx) -> Result<Option<T>, Error> {
        match tx.replay(&self.request_id, &self.fingerprint).await? {
            Replay::New => Ok(None),
            Replay::Seen(answer) => serde_json::from_str(&answer).map(Some).map_err(Error::fault),
        }
    }

    /// Keeps the answer; written with the commit.
    fn remember<T: Serialize>(&self, tx: &Tx, answer: &T) -> Result<(), Error> {
        tx.remember(&self.request_id, &serde_json::to_string(answer).map_err(Error::fault)?);
        Ok(())
    }
}

/// A transaction that may void tokens. Once it is committed the verifiers of this process know; those of others hear the event.
struct Change<'a> {
    auth: &'a Auth,
    tx: Tx,
    voided: Mutex<Vec<Voided>>,
}

/// What a change voids.
struct Voided {
    what: RevocationKind,
    entry: Revocation,
    owner: Owner,
    organization: OrganizationId,
}

impl Deref for Change<'_> {
    type Target = Tx;

    fn deref(&self) -> &Tx {
        &self.tx
    }
}

impl Change<'_> {
    /// Until the commit others see the state before, and tokens rest on it. Those of a second that the entries do not hit any more are hit
    /// by entries that are moved forward: a commit that takes so long is rare.
    async fn commit(self) -> Result<(), Error> {
        let (auth, context) = (self.auth, self.tx.context().clone());
        let voided = self.told().await?;
        let now = auth.clock.now();
        if voided.iter().all(|voided| now < voided.entry.not_before) {
            return Ok(());
        }
        let again = auth.db.system("void what was issued during a commit", &lockout::quiet(&context)).await?;
        let again = auth.change(again);
        for voided in voided {
            auth.void(&again, Voided { entry: voided.entry.moved(now), ..voided }).await?;
        }
        again.told().await.map(drop)
    }

    /// Commits and tells the verifiers of this process.
    async fn told(self) -> Result<Vec<Voided>, Error> {
        self.tx.commit().await?;
        let voided = self.voided.into_inner().unwrap_or_else(PoisonError::into_inner);
        voided.iter().for_each(|voided| self.auth.tell_verifiers(voided));
        Ok(voided)
    }
}

/// A page as it was asked for.
pub(crate) struct PageRequest {
    /// `page_size` of the request.
    pub(crate) size: i32,
    /// `page_token` of the request.
    pub(crate) token: String,
}

impl Auth {
    /// The opened keys.
    fn keys(&self) -> Result<Arc<Keyring>, Error> {
        self.keys.borrow().clone().ok_or(Error::KeysAwaited)
    }

    /// The name's organization must be the caller's. The authorizer has seen to it; this is the second wall.
    fn own(caller: &Caller, organization: OrganizationId) -> Result<(), Error> {
        if caller.organization()? == organization { Ok(()) } else { Err(api::Error::denied().into()) }
    }

    /// The caller's role: the contract counts from member, the model from viewer.
    fn role(caller: &Caller) -> Option<Role> {
        caller.role().and_then(|role| Role::of_number(role as i16 - 1))
    }

    /// What stands in a fingerprint for a password: the fingerprint is kept, and a plain hash of a password could be guessed from it.
    pub(crate) fn masked(&self, password: &str) -> String {
        Id::derive(Id::ZERO, &hmac(&self.identifiers, &[b"fingerprint", password.as_bytes()])).to_string()
    }

    /// Longest life of any token that a revocation may have to hit.
    fn longest_life(&self) -> Duration {
        longest_life(&self.config)
    }

    /// A transaction that may void tokens.
    fn change(&self, tx: Tx) -> Change<'_> {
        Change { auth: self, tx, voided: Mutex::default() }
    }

    /// Voids tokens, in the transaction of the cause.
    async fn revoke(&self, tx: &Change<'_>, what: RevocationKind, owner: Owner, renew: bool) -> Result<(), Error> {
        let entry = Revocation::of(what, renew, self.clock.now(), self.longest_life());
        metrics::revoked(what.text());
        self.void(tx, Voided { what, entry, owner, organization: tx.organization() }).await
    }

    async fn void(&self, tx: &Change<'_>, voided: Voided) -> Result<(), Error> {
        store::revocation::upsert(tx, &voided.entry, voided.owner).await?;
        events::credentials_revoked(tx, voided.organization, &voided.entry, self.ids.next())?;
        tx.voided.lock().unwrap_or_else(PoisonError::into_inner).push(voided);
        Ok(())
    }

    fn tell_verifiers(&self, voided: &Voided) {
        let kind = match voided.what {
            RevocationKind::Session(_) => authz::Kind::Sid,
            RevocationKind::Member(..) => authz::Kind::Member,
            RevocationKind::Delegation(_) => authz::Kind::Delegation,
            RevocationKind::User(_) => authz::Kind::User,
            RevocationKind::Tenant(_) => authz::Kind::Tenant,
            RevocationKind::Key(_) => authz::Kind::Key,
            RevocationKind::Client(_) => authz::Kind::Client,
            RevocationKind::SigningKey(_) => authz::Kind::Kid,
        };
        let Revocation { id, not_before, keep_until, renew, .. } = voided.entry.clone();
        self.verifiers.insert(authz::Revocation { kind, id, not_before, keep_until, renew });
    }

    /// Keyset position and number of rows to read for a page: one more than is shown says whether there is another page.
    fn page(&self, context: &CallContext, binding: &str, request: &PageRequest) -> Result<(Id, usize), Error> {
        let page = Page::parse(request.size, 50, 1000)?;
        let position = self.sealer.open(&context.method, binding.as_bytes(), &request.token)?;
        let after = match position {
            None => Id::ZERO,
            Some(bytes) => std::str::from_utf8(&bytes)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| Error::fault("a sealed position is no id"))?,
        };
        Ok((after, page.size))
    }

    /// The position in a page token, for lists that are not ordered by an id; empty for the first page.
    pub(crate) fn position(&self, context: &CallContext, binding: &str, token: &str) -> Result<Vec<u8>, Error> {
        Ok(self.sealer.open(&context.method, binding.as_bytes(), token)?.unwrap_or_default())
    }

    /// The token of a position.
    pub(crate) fn token_of(&self, context: &CallContext, binding: &str, position: &[u8]) -> String {
        self.sealer.seal(&context.method, binding.as_bytes(), position)
    }

    /// Cuts the row too many off and seals where the next page begins.
    fn cut<T>(
        &self,
        context: &CallContext,
        binding: &str,
        mut rows: Vec<T>,
        size: usize,
        id: impl Fn(&T) -> Id,
    ) -> (Vec<T>, String) {
        if rows.len() <= size {
            return (rows, String::new());
        }
        rows.truncate(size);
        let last = rows.last().map(&id).unwrap_or(Id::ZERO);
        let token = self.sealer.seal(&context.method, binding.as_bytes(), last.to_string().as_bytes());
        (rows, token)
    }

    /// A page of what an organization has, by id.
    async fn listed<T>(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        request: &PageRequest,
        fetch: impl AsyncFnOnce(&Tx, OrganizationId, Id, i64) -> Result<Vec<T>, db::Error>,
        id: impl Fn(&T) -> Id,
    ) -> Result<(Vec<T>, String), Error> {
        Self::own(caller, organization)?;
        let binding = organization.name();
        let (after, size) = self.page(caller.context(), &binding, request)?;
        let tx = self.db.tenant(caller).await?;
        let rows = fetch(&tx, organization, after, limit(size)).await?;
        Ok(self.cut(caller.context(), &binding, rows, size, id))
    }

    /// Deletes what has ended.
    pub(crate) async fn purge(&self) -> Result<u64, Error> {
        let context = CallContext::background("auth-purge", &self.ids);
        let tx = self.db.system("delete expired sign-ins, sessions and revocations", &context).await?;
        let mut rows = store::revocation::purge(&tx, self.clock.now()).await?;
        rows += store::mail::purge(&tx, self.clock.now()).await?;
        rows += store::relation::purge(&tx, self.clock.now()).await?;
        tx.commit().await?;
        self.purge_clients(&lockout::quiet(&context)).await?;
        self.purge_links(&context).await?;
        Ok(rows)
    }
}

/// Longest life of any token.
fn longest_life(config: &Config) -> Duration {
    Duration::try_from(config.access_token_life).unwrap_or(Duration::MINUTE) + HOPS + SKEW
}

/// Whether a row was made; ALREADY_EXISTS when another has its place.
fn inserted<T>(result: Result<T, db::Error>, constraint: &str, name: impl std::fmt::Display) -> Result<T, Error> {
    result.map_err(|error| match error.is_unique(constraint) {
        true => api::Error::already_exists(name).into(),
        false => Error::from(error),
    })
}

/// How many rows to read: one more than is shown.
fn limit(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX - 1) + 1
}

/// The second that a token carries: no token may be older than a revocation it is to survive.
fn issue_time(now: OffsetDateTime, live: &[Revocation]) -> OffsetDateTime {
    let floor = now.replace_nanosecond(0).unwrap_or(now);
    let live = live.iter().filter(|entry| entry.is_outlived());
    live.map(|entry| entry.not_before).fold(floor, OffsetDateTime::max)
}
