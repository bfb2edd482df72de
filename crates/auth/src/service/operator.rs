//! What an operator does with access to the database, beside the API: for people who have lost every way in. All of it is audited.
use std::path::Path;

use api::{CallContext, Clock, Id, Ids, OrganizationId};
use chassis::{BootError, Profile};
use db::{Db, Record, Tx};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    lockout::{counters_of, factors_of},
    longest_life,
    signing_key::{Keeper, open},
    start::Secrets,
};
use crate::{
    config::Config,
    credential::{KeyUse, MailKey, StoredKey, Vault},
    error::Error,
    events,
    model::{
        Email, LINK_LIFE, MailDelivery, Membership, MembershipState, Purpose, Revocation, RevocationKind, Role, User,
        UserState,
    },
    store::{self, revocation::Owner},
};

/// Name under which it stands in the audit log.
const ACTOR: &str = "operators/local";
/// Factors, and passkeys, looked at: more than anybody may have.
const ALL: i64 = 1000;

/// An operator at the machine.
pub struct Operator {
    pub(super) db: Db,
    pub(super) clock: Clock,
    ids: Ids,
    config: Config,
    mail_key: MailKey,
    pub(super) vault: Vault,
    identifiers: [u8; 32],
    public_url: String,
}

/// A key that takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// What it will sign, in words.
    pub signs: &'static str,
    /// Its id, in the headers of what it will sign.
    pub kid: String,
    /// From when on it signs.
    pub activate_time: OffsetDateTime,
    /// Until when what the one before it has signed is good.
    pub old_until: OffsetDateTime,
    /// It was announced just now; otherwise it was on its way already.
    pub is_new: bool,
}

impl std::fmt::Display for Successor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { signs, kid, activate_time, old_until, is_new } = self;
        let how = if *is_new { "signs" } else { "was announced before and signs" };
        let (from, until) = (shown(*activate_time), shown(*old_until));
        write!(
            formatter,
            "{signs}: {kid} {how} from {from} on; what the key before it has signed is good until {until}"
        )
    }
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Operator").finish_non_exhaustive()
    }
}

impl Operator {
    /// Opens the secrets of the service; `data_dir` is its own folder.
    ///
    /// # Errors
    /// A secret is not configured.
    pub fn open(
        db: Db,
        clock: Clock,
        config: Config,
        profile: Profile,
        data_dir: &Path,
        public_url: &str,
    ) -> Result<Self, BootError> {
        let secrets = Secrets::resolve(&config, profile, data_dir)?;
        let (mail_key, vault, identifiers) = (secrets.mail_key(), secrets.vault(), secrets.identifiers());
        let public_url = public_url.trim_end_matches('/').to_owned();
        Ok(Self { db, clock, ids: Ids::default(), config, mail_key, vault, identifiers, public_url })
    }

    /// A link to choose a new password, good for ten minutes and once; it is printed, not mailed.
    ///
    /// # Errors
    /// There is no such active account, or the database is away.
    pub async fn reset_password(&self, email: &str) -> Result<String, BootError> {
        self.run("user.reset_link_made", email, async |tx, user| {
            if !user.is_active() {
                return Err(Error::fault(format!(
                    "the account {email} is disabled or deleted, and no link leads into it; run `workos admin enable {email}` first"
                )));
            }
            let now = self.clock.now();
            let mail = MailDelivery { sent: true, ..self.mail(user, Purpose::ResetPassword, now + LINK_LIFE) };
            store::mail::end_earlier(tx, &mail.email_key, mail.purpose, now).await?;
            store::mail::insert(tx, &mail, &self.mail_key.digest(mail.id), now).await?;
            Ok(format!("{}/auth/link/reset?token={}", self.public_url, self.mail_key.token(mail.id)))
        })
        .await
    }

    /// Ends all sessions and tokens of an account.
    ///
    /// # Errors
    /// There is no such account, or the database is away.
    pub async fn revoke(&self, email: &str) -> Result<(), BootError> {
        self.run("user.sessions_ended", email, async |tx, user| self.end_all(tx, user).await).await
    }

    /// Disables an account, or enables it again. No organization takes back what is disabled here.
    ///
    /// # Errors
    /// There is no such account, or the database is away.
    pub async fn disable(&self, email: &str, disabled: bool) -> Result<(), BootError> {
        let (state, action) = match disabled {
            true => (UserState::Disabled, "user.disabled"),
            false => (UserState::Active, "user.enabled"),
        };
        self.run(action, email, async |tx, user| {
            let next = User { state, update_time: self.clock.now(), ..user.clone() };
            let version = store::user::save_state(tx, &next, None).await?;
            store::user::hold_back(tx, user.id, disabled).await?;
            events::user_updated(tx, &next, version)?;
            if disabled { self.end_all(tx, user).await } else { Ok(()) }
        })
        .await
    }

    /// Makes an account an owner of the operators' organization: for the day when nobody is left there.
    ///
    /// # Errors
    /// There is no such account, or the database is away.
    pub async fn recover_operator(&self, email: &str) -> Result<(), BootError> {
        self.run("operator.recovered", email, async |tx, user| {
            let (organization, now) = (OrganizationId::SYSTEM, self.clock.now());
            if store::organization::lock(tx, organization).await?.is_none() {
                return Err(Error::fault("the platform has no first owner yet; run `workos admin bootstrap`"));
            }
            let next = User { state: UserState::Active, update_time: now, ..user.clone() };
            store::user::save_state(tx, &next, None).await?;
            store::user::hold_back(tx, user.id, false).await?;
            if let Some(found) = store::membership::of_user(tx, user.id, organization).await? {
                let (role, state, version) = (Some(Role::Owner), MembershipState::Active, found.version + 1);
                let member = Membership { role, state, version, update_time: now, ..found };
                store::membership::save(tx, &member).await?;
                events::membership_updated(tx, &member)?;
                return Ok(());
            }
            let member = Membership {
                id: self.ids.next(),
                organization,
                user: user.id,
                role: Some(Role::Owner),
                custom_roles: Vec::new(),
                state: MembershipState::Active,
                version: 1,
                create_time: now,
                update_time: now,
                email: String::new(),
                display_name: String::new(),
            };
            store::membership::insert(tx, &member).await?;
            Ok(events::membership_created(tx, &member)?)
        })
        .await
    }

    /// Forgets the wrong attempts at an account, its password's and its second factors', on all devices: its owner can sign in at once.
    ///
    /// # Errors
    /// There is no such account, or the database is away.
    pub async fn unlock(&self, email: &str) -> Result<(), BootError> {
        self.run("user.unlocked", email, async |tx, user| {
            let counters = counters_of(&self.identifiers, user.id, &user.email);
            Ok(store::attempt::reset(tx, &counters, self.clock.now()).await?)
        })
        .await
    }

    /// Takes all second factors and passkeys of an account, for who has lost them and whom no organization can help. Its sessions end, and its
    /// owner hears of it.
    ///
    /// # Errors
    /// There is no such account, it has nothing of the kind, or the database is away.
    pub async fn reset_factors(&self, email: &str) -> Result<(), BootError> {
        self.run("user.factors_reset", email, async |tx, user| {
            store::pending::hold(tx, user.id).await?;
            let factors = store::factor::list(tx, user.id, Id::ZERO, ALL).await?;
            let passkeys = store::passkey::list(tx, user.id, Id::ZERO, ALL).await?;
            if factors.is_empty() && passkeys.is_empty() {
                return Err(Error::fault(format!(
                    "the account {email} has no second factor and no passkey; who has forgotten his password needs `workos admin reset-password`"
                )));
            }
            store::factor::delete_all(tx, user.id).await?;
            for factor in factors.iter().filter(|factor| factor.confirmed) {
                events::factor_deleted(tx, factor)?;
            }
            for (passkey, _) in &passkeys {
                events::passkey_deleted(tx, passkey)?;
            }
            // A password too short to stand alone does not: another one is chosen by mail.
            if !store::user::password_fits_alone(tx, user.id).await? {
                store::user::delete_password(tx, user.id).await?;
            }
            let now = self.clock.now();
            store::attempt::reset(tx, &factors_of(&self.identifiers, user.id), now).await?;
            self.end_all(tx, user).await?;
            let purpose = Purpose::NoticeFactorsChanged;
            let mail = self.mail(user, purpose, now + purpose.life());
            store::mail::insert(tx, &mail, &self.mail_key.digest(mail.id), now).await?;
            Ok(events::mail_requested(tx, &mail)?)
        })
        .await
    }

    fn mail(&self, user: &User, purpose: Purpose, expire_time: OffsetDateTime) -> MailDelivery {
        MailDelivery {
            id: self.ids.next(),
            purpose,
            email: user.email.clone(),
            email_key: Email::key(&user.email),
            user: Some(user.id),
            organization: None,
            invitation: None,
            flow: None,
            display_name: user.display_name.clone(),
            hash: String::new(),
            told: None,
            expire_time,
            sent: false,
        }
    }

    /// Announces successors of all signing keys, whatever their age. They sign ten minutes later, when every verifier knows them; services
    /// that run find them within a minute.
    ///
    /// # Errors
    /// The database is away, or the wrapping key is not the one that sealed the present keys.
    pub async fn rotate_keys(&self) -> Result<Vec<Successor>, BootError> {
        let done = async {
            let now = self.clock.now();
            let tx = self.db.system("keys.rotate", &self.context()).await?;
            let keeper = Keeper { vault: &self.vault, config: &self.config, now };
            let (keys, made) = keeper.look(&tx, true).await?;
            open(&self.vault, &keys, Vec::new(), &self.clock)?;
            tx.audit(Record::done("signing_keys.rotated").with_all("made", &made));
            tx.commit().await?;
            let announced = keys.iter().filter(|key| key.times.activate > now);
            Ok::<_, Error>(announced.filter_map(|key| successor_of(key, &keys, &made)).collect())
        };
        done.await.map_err(|error| BootError::msg(error.for_operator()))
    }

    /// The signing keys that verify something now or soon, in words.
    ///
    /// # Errors
    /// The database is away.
    pub async fn keys(&self) -> Result<Vec<String>, BootError> {
        let listed = async {
            let tx = self.db.system("keys.list", &self.context()).await?;
            let (keys, now) = (store::key::list(&tx, self.clock.now()).await?, self.clock.now());
            let said = |key: &StoredKey| Some(format!("{}  {}, {}", key.kid, signs(key.kind)?, since(key, now)));
            Ok::<_, Error>(keys.iter().filter_map(said).collect())
        };
        listed.await.map_err(|error: Error| BootError::msg(error.for_operator()))
    }

    /// Revokes a signing key: what it has signed is void within a second, and another signs at once. Gives the kid of that one, if it is new
    /// in this.
    ///
    /// # Errors
    /// There never was such a key, or the database is away.
    pub async fn revoke_key(&self, kid: &str) -> Result<Option<String>, BootError> {
        let done = async {
            let tx = self.db.system("keys.revoke", &self.context()).await?;
            let now = self.clock.now();
            let keeper = Keeper { vault: &self.vault, config: &self.config, now };
            let revoked = keeper.revoke(&tx, kid).await?;
            let revoked = revoked.ok_or_else(|| {
                Error::fault(format!("there never was a signing key {kid}; `workos admin keys list` shows them"))
            })?;
            for (what, renew) in revoked.voids {
                let entry = Revocation::of(what, renew, now, longest_life(&self.config));
                self.void(&tx, &entry, Owner::default()).await?;
            }
            tx.audit(Record::done("signing_key.revoked").about(format!("signingKeys/{kid}")));
            tx.commit().await?;
            Ok::<_, Error>(revoked.successor)
        };
        done.await.map_err(|error| BootError::msg(error.for_operator()))
    }

    pub(super) fn context(&self) -> CallContext {
        of_operator(&self.ids)
    }

    async fn run<T>(
        &self,
        action: &str,
        email: &str,
        work: impl AsyncFnOnce(&Tx, &User) -> Result<T, Error>,
    ) -> Result<T, BootError> {
        let done = async {
            let tx = self.db.system(action, &self.context()).await?;
            let found = store::user::find(&tx, &Email::key(email)).await?;
            let user = found.ok_or_else(|| {
                Error::fault(format!("there is no account with the address {email}; look how it is spelt"))
            })?;
            let done = work(&tx, &user).await?;
            tx.audit(Record::done(action).about(user.id.name()));
            tx.commit().await?;
            Ok::<T, Error>(done)
        };
        done.await.map_err(|error| BootError::msg(error.for_operator()))
    }

    async fn end_all(&self, tx: &Tx, user: &User) -> Result<(), Error> {
        let now = self.clock.now();
        store::pending::void(tx, user.id).await?;
        store::session::delete_others(tx, user.id, Id::ZERO).await?;
        store::mail::end_of_user(tx, user.id, now).await?;
        let entry = Revocation::now(RevocationKind::User(user.id), false, now, longest_life(&self.config));
        self.void(tx, &entry, Owner { user: Some(user.id), organization: None }).await
    }

    /// Verifiers hear the event.
    async fn void(&self, tx: &Tx, entry: &Revocation, owner: Owner) -> Result<(), Error> {
        store::revocation::upsert(tx, entry, owner).await?;
        Ok(events::credentials_revoked(tx, OrganizationId::SYSTEM, entry, self.ids.next())?)
    }
}

/// What an operator at the machine does.
pub(super) fn of_operator(ids: &Ids) -> CallContext {
    CallContext { actor: ACTOR.to_owned(), ..CallContext::background("admin", ids) }
}

/// What a key of a kind signs, in words; `None` for the one that is never replaced.
fn signs(kind: KeyUse) -> Option<&'static str> {
    match kind {
        KeyUse::Internal => Some("internal tokens"),
        KeyUse::Edge => Some("access tokens, and ID tokens with ES256"),
        KeyUse::IdToken => Some("ID tokens with RS256"),
        KeyUse::Refresh => None,
    }
}

/// From when on it signs, and until when what it has signed is good.
fn since(key: &StoredKey, now: OffsetDateTime) -> String {
    let tense = if key.times.activate > now { "will sign from" } else { "signs since" };
    let from = format!("{tense} {}", shown(key.times.activate));
    key.times.expire.map_or_else(|| from.clone(), |expire| format!("{from}, gone from {}", shown(expire)))
}

fn successor_of(key: &StoredKey, all: &[StoredKey], made: &[String]) -> Option<Successor> {
    let signs = signs(key.kind)?;
    let before = all.iter().filter(|old| old.kind == key.kind && old.kid != key.kid);
    let old_until = before.filter_map(|old| old.times.expire).max()?;
    let (kid, activate_time, is_new) = (key.kid.clone(), key.times.activate, made.contains(&key.kid));
    Some(Successor { signs, kid, activate_time, old_until, is_new })
}

fn shown(time: OffsetDateTime) -> String {
    let whole = time.replace_nanosecond(0).unwrap_or(time);
    whole.format(&Rfc3339).unwrap_or_else(|_| whole.to_string())
}
