//! Second factors as their user manages them.
//!
//! A factor counts only after its app has shown a code. Whoever has one must have used one in this session to change anything. Without
//! the last one the password must be fit to stand alone.
use api::{Caller, Id, UserId};
use db::Tx;

use super::{Auth, PageRequest, limit, user::oneself};
use crate::{
    credential::{Credential, TotpSecret, new_recovery_code, plain_recovery_code},
    error::Error,
    events,
    model::{
        DisplayName, FactorKind, FactorName, MfaFactor, Passkey, Purpose, RECOVERY_CODES, RevocationKind, SecondFactor,
        TOTP_MAX, acr, second_factors,
    },
    store::{self, revocation::Owner},
};

/// More factors than anybody has.
const ALL: i64 = 1000;

/// All that a user can answer with beside the password.
pub(super) struct Ways {
    /// Apps and recovery codes.
    pub(super) factors: Vec<MfaFactor>,
    /// Passkeys, disabled ones among them.
    pub(super) passkeys: Vec<(Passkey, Credential)>,
}

impl Ways {
    /// What a sign-in asks for; empty when the password is enough.
    pub(super) fn methods(&self) -> Vec<SecondFactor> {
        let passkeys: Vec<bool> = self.passkeys.iter().map(|(passkey, _)| !passkey.disabled).collect();
        second_factors(&self.factors, &passkeys)
    }

    /// Something here signs in alone.
    pub(super) fn signs_in(&self) -> bool {
        self.passkeys.iter().any(|(passkey, _)| !passkey.disabled)
    }

    /// There is a set of recovery codes, used up or not.
    pub(super) fn has_recovery(&self) -> bool {
        self.factors.iter().any(|factor| factor.kind == FactorKind::Recovery)
    }

    /// Credentials of the passkeys in force.
    pub(super) fn credentials(&self) -> Vec<Credential> {
        let good = self.passkeys.iter().filter(|(passkey, _)| !passkey.disabled);
        good.map(|(_, credential)| credential.clone()).collect()
    }
}

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
        let ways = self.changeable(&tx, caller, user).await?;
        if ways.factors.iter().filter(|factor| factor.kind == FactorKind::Totp).count() >= TOTP_MAX {
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
        let ways = self.changeable(&tx, caller, user).await?;
        let secrets = store::factor::secrets(&tx, user, false).await?;
        let found = secrets.into_iter().find(|(factor, _)| *factor == name.factor);
        let (_, sealed) = found.ok_or_else(|| api::Error::not_found(name))?;
        let step = self.open_secret(name, &sealed)?.step_of(code, now)?.ok_or(Error::FactorRefused)?;
        if !store::factor::take_step(&tx, name, false, step, now).await? {
            return Err(Error::FactorRefused);
        }
        let codes = if ways.has_recovery() { Vec::new() } else { self.new_codes(&tx, user).await? };
        let factor = store::factor::get(&tx, name).await?.ok_or_else(|| api::Error::not_found(name))?;
        self.end_other_sessions(&tx, caller, user).await?;
        self.tell_factors_changed(&tx, user).await?;
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
        let mut ways = self.changeable(&tx, caller, user).await?;
        let Some(index) = ways.factors.iter().position(|factor| factor.id == name.factor) else { return Ok(()) };
        let gone = ways.factors.swap_remove(index);
        match gone.kind {
            FactorKind::Recovery => store::factor::delete_recovery(&tx, user).await?,
            FactorKind::Totp => drop(store::factor::delete(&tx, name).await?),
        }
        if gone.confirmed {
            self.after_delete(&tx, user, &ways).await?;
            self.end_other_sessions(&tx, caller, user).await?;
            self.tell_factors_changed(&tx, user).await?;
            events::factor_deleted(&tx, &gone)?;
        }
        tx.commit().await
    }

    /// Ten new recovery codes; the old ones are dead.
    pub(crate) async fn regenerate_codes(&self, caller: &Caller, user: UserId) -> Result<Vec<String>, Error> {
        oneself(caller, user)?;
        let tx = self.db.subject(user, caller.context()).await?;
        if self.changeable(&tx, caller, user).await?.methods().is_empty() {
            return Err(Error::FactorMissing);
        }
        let codes = self.new_codes(&tx, user).await?;
        self.tell_factors_changed(&tx, user).await?;
        tx.commit().await?;
        Ok(codes)
    }

    /// The owner of an account hears of each change of what he signs in with, by the one way that such a change does not touch.
    pub(super) async fn tell_factors_changed(&self, tx: &Tx, user: UserId) -> Result<(), Error> {
        let user = store::user::get(tx, user).await?.ok_or_else(api::Error::denied)?;
        self.notice(tx, &user, Purpose::NoticeFactorsChanged).await
    }

    /// All factors, which nobody else changes until the transaction ends, in a session that goes on as long. Who has a second factor must
    /// have used one to be here: otherwise a stolen password would be enough to take them away.
    pub(super) async fn changeable(&self, tx: &Tx, caller: &Caller, user: UserId) -> Result<Ways, Error> {
        store::pending::hold(tx, user).await?;
        let session = caller.session().and_then(|session| session.parse().ok()).ok_or_else(api::Error::denied)?;
        // What ends all that a user has ends his sessions first, and waits for this one.
        let (session, _) = store::session::get(tx, session, true).await?.ok_or(Error::CredentialInvalid)?;
        let ways = self.ways(tx, user).await?;
        if !ways.methods().is_empty() && acr(&session.amr) < 2 {
            return Err(api::Error::step_up_required(2, None).into());
        }
        Ok(ways)
    }

    /// All second factors and passkeys of a user.
    pub(super) async fn ways(&self, tx: &Tx, user: UserId) -> Result<Ways, Error> {
        let factors = store::factor::list(tx, user, Id::ZERO, ALL).await?;
        Ok(Ways { factors, passkeys: store::passkey::list(tx, user, Id::ZERO, ALL).await? })
    }

    /// Recovery codes stand in for factors: without any they mean nothing, and the password stands alone.
    pub(super) async fn after_delete(&self, tx: &Tx, user: UserId, left: &Ways) -> Result<(), Error> {
        if !left.methods().is_empty() {
            return Ok(());
        }
        if !store::user::password_fits_alone(tx, user).await? {
            return Err(Error::PasswordTooShortAlone);
        }
        Ok(store::factor::delete_recovery(tx, user).await?)
    }

    pub(super) async fn new_codes(&self, tx: &Tx, user: UserId) -> Result<Vec<String>, Error> {
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
        tx: &super::Change<'_>,
        caller: &Caller,
        user: UserId,
    ) -> Result<(), Error> {
        store::pending::void(tx, user).await?;
        let kept = caller.session().and_then(|session| session.parse::<Id>().ok()).unwrap_or(Id::ZERO);
        let owner = Owner { user: Some(user), organization: None };
        for session in store::session::delete_others(tx, user, kept).await? {
            self.revoke(tx, RevocationKind::Session(session), owner, false).await?;
        }
        Ok(())
    }
}
