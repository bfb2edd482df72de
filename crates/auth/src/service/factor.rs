//! Second factors as their user manages them.
//!
//! A factor counts only after its app has shown a code. Whoever has one must have used one in this session to change anything. Without
//! the last one the password must be fit to stand alone.
use api::{Caller, Id, UserId};
use db::Tx;

use super::{Auth, PageRequest, limit, user::oneself};
use crate::{
    credential::{TotpSecret, new_recovery_code, plain_recovery_code},
    error::Error,
    events,
    model::{
        DisplayName, FactorKind, FactorName, MfaFactor, RECOVERY_CODES, RevocationKind, TOTP_MAX, acr, second_factors,
    },
    store::{self, revocation::Owner},
};

/// More factors than anybody has.
const ALL: i64 = 1000;

/// A new app, with what is shown once.
pub(crate) struct NewFactor {
    /// The factor.
    pub(crate) factor: MfaFactor,
    /// The secret in base32.
    pub(crate) secret: String,
    /// The secret as an `otpauth` URI.
    pub(crate) uri: String,
}

impl Auth {
    /// Begins to enrol an app.
    pub(crate) async fn create_factor(
        &self,
        caller: &Caller,
        user: UserId,
        display_name: DisplayName,
    ) -> Result<NewFactor, Error> {
        let email = self.user(caller, user).await?.email;
        let tx = self.db.subject(user, caller.context()).await?;
        let factors = self.changeable(&tx, caller, user).await?;
        if factors.iter().filter(|factor| factor.kind == FactorKind::Totp).count() >= TOTP_MAX {
            return Err(Error::FactorLimit);
        }
        let secret = TotpSecret::new();
        let factor = self.new_factor(user, FactorKind::Totp, display_name.0);
        let sealed = self.seal_secret(FactorName { user, factor: factor.id }, &secret);
        store::factor::insert(&tx, &factor, Some(&sealed)).await?;
        tx.commit().await?;
        let (secret, uri) = secret.shown(&self.issuer, &email)?;
        Ok(NewFactor { factor, secret, uri })
    }

    /// The app has shown a code: from now on sign-ins ask for one, and all other sessions end. Gives the recovery codes that come with
    /// the first factor.
    pub(crate) async fn confirm_factor(
        &self,
        caller: &Caller,
        name: FactorName,
        code: &str,
    ) -> Result<(MfaFactor, Vec<String>), Error> {
        let (user, now) = (name.user, self.clock.now());
        oneself(caller, user)?;
        let tx = self.change(self.db.subject(user, caller.context()).await?);
        let factors = self.changeable(&tx, caller, user).await?;
        let secrets = store::factor::secrets(&tx, user, false).await?;
        let found = secrets.into_iter().find(|(factor, _)| *factor == name.factor);
        let (_, sealed) = found.ok_or_else(|| api::Error::not_found(name))?;
        let step = self.open_secret(name, &sealed)?.step_of(code, now)?.ok_or(Error::FactorRefused)?;
        if !store::factor::take_step(&tx, name, false, step, now).await? {
            return Err(Error::FactorRefused);
        }
        let first = !factors.iter().any(|factor| factor.kind == FactorKind::Recovery);
        let codes = if first { self.new_codes(&tx, user).await? } else { Vec::new() };
        let factor = store::factor::get(&tx, name).await?.ok_or_else(|| api::Error::not_found(name))?;
        self.end_other_sessions(&tx, caller, user).await?;
        events::factor_confirmed(&tx, &factor)?;
        tx.commit().await?;
        Ok((factor, codes))
    }

    /// One factor of the caller.
    pub(crate) async fn factor(&self, caller: &Caller, name: FactorName) -> Result<MfaFactor, Error> {
        oneself(caller, name.user)?;
        let tx = self.db.subject(name.user, caller.context()).await?;
        let found = store::factor::get(&tx, name).await?;
        Ok(caller.permit(found, |_| None, name)?)
    }

    /// A page of the caller's factors.
    pub(crate) async fn factors(
        &self,
        caller: &Caller,
        user: UserId,
        request: &PageRequest,
    ) -> Result<(Vec<MfaFactor>, String), Error> {
        oneself(caller, user)?;
        let binding = user.name();
        let (after, size) = self.page(caller.context(), &binding, request)?;
        let tx = self.db.subject(user, caller.context()).await?;
        let rows = store::factor::list(&tx, user, after, limit(size)).await?;
        Ok(self.cut(caller.context(), &binding, rows, size, |factor| factor.id))
    }

    /// Deletes a factor; one that is gone is fine, so that the call may be repeated. All other sessions end.
    pub(crate) async fn delete_factor(&self, caller: &Caller, name: FactorName) -> Result<(), Error> {
        let user = name.user;
        oneself(caller, user)?;
        let tx = self.change(self.db.subject(user, caller.context()).await?);
        let mut factors = self.changeable(&tx, caller, user).await?;
        let Some(index) = factors.iter().position(|factor| factor.id == name.factor) else { return Ok(()) };
        let gone = factors.swap_remove(index);
        match gone.kind {
            FactorKind::Recovery => store::factor::delete_recovery(&tx, user).await?,
            FactorKind::Totp => drop(store::factor::delete(&tx, name).await?),
        }
        if gone.confirmed {
            self.after_delete(&tx, user, &factors).await?;
            self.end_other_sessions(&tx, caller, user).await?;
            events::factor_deleted(&tx, &gone)?;
        }
        tx.commit().await
    }

    /// Ten new recovery codes; the old ones are dead.
    pub(crate) async fn regenerate_codes(&self, caller: &Caller, user: UserId) -> Result<Vec<String>, Error> {
        oneself(caller, user)?;
        let tx = self.db.subject(user, caller.context()).await?;
        if second_factors(&self.changeable(&tx, caller, user).await?).is_empty() {
            return Err(Error::FactorMissing);
        }
        let codes = self.new_codes(&tx, user).await?;
        tx.commit().await?;
        Ok(codes)
    }

    /// All factors, which nobody else changes until the transaction ends. Who has a second factor must have used one to be here:
    /// otherwise a stolen password would be enough to take them away.
    async fn changeable(&self, tx: &Tx, caller: &Caller, user: UserId) -> Result<Vec<MfaFactor>, Error> {
        store::factor::lock(tx, user).await?;
        let factors = store::factor::list(tx, user, Id::ZERO, ALL).await?;
        if !second_factors(&factors).is_empty() {
            let session = caller.session().and_then(|session| session.parse().ok()).ok_or_else(api::Error::denied)?;
            let found = store::session::get(tx, session, false).await?;
            if found.is_none_or(|(session, _)| acr(&session.amr) < 2) {
                return Err(api::Error::step_up_required(2, None).into());
            }
        }
        Ok(factors)
    }

    /// Recovery codes stand in for factors: without any they mean nothing, and the password stands alone.
    async fn after_delete(&self, tx: &Tx, user: UserId, left: &[MfaFactor]) -> Result<(), Error> {
        if !second_factors(left).is_empty() {
            return Ok(());
        }
        if !store::user::password_fits_alone(tx, user).await? {
            return Err(Error::PasswordTooShortAlone);
        }
        Ok(store::factor::delete_recovery(tx, user).await?)
    }

    async fn new_codes(&self, tx: &Tx, user: UserId) -> Result<Vec<String>, Error> {
        store::factor::delete_recovery(tx, user).await?;
        let codes: Vec<_> = (0..RECOVERY_CODES).map(|_| new_recovery_code()).collect();
        let digests: Vec<_> = codes
            .iter()
            .filter_map(|code| plain_recovery_code(code))
            .map(|code| self.recovery_digest(user, &code))
            .collect();
        let mut set = self.new_factor(user, FactorKind::Recovery, "Recovery codes".to_owned());
        set.confirmed = true;
        store::factor::insert(tx, &set, None).await?;
        store::factor::insert_codes(tx, user, &digests).await?;
        Ok(codes)
    }

    fn new_factor(&self, user: UserId, kind: FactorKind, display_name: String) -> MfaFactor {
        let (id, create_time) = (self.ids.next(), self.clock.now());
        MfaFactor { user, id, kind, display_name, confirmed: false, remaining: 0, create_time, last_use_time: None }
    }

    /// Ends all sessions of the caller but the one he calls from, and what would become one.
    pub(super) async fn end_other_sessions(
        &self,
        tx: &super::Change,
        caller: &Caller,
        user: UserId,
    ) -> Result<(), Error> {
        store::session::delete_pending(tx, user).await?;
        let kept = caller.session().and_then(|session| session.parse::<Id>().ok()).unwrap_or(Id::ZERO);
        let owner = Owner { user: Some(user), organization: None };
        for session in store::session::delete_others(tx, user, kept).await? {
            self.revoke(tx, RevocationKind::Session(session), owner, false).await?;
        }
        Ok(())
    }
}
