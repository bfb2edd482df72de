//! Passkeys as their user manages them. They are second factors too: the same rules hold as for apps.
use api::{Caller, Etag, UserId};
use time::Duration;

use super::{Auth, PageRequest, factor::Ways, limit, lockout::quiet, user::oneself};
use crate::{
    credential::{Credential, Handle, digest, new_user_handle},
    error::Error,
    events,
    model::{DisplayName, PASSKEYS_MAX, Passkey, PasskeyName},
    store,
};

/// Time to answer a ceremony.
const CEREMONY_LIFE: Duration = Duration::minutes(5);

/// A registration that waits for the browser.
pub(crate) struct Registration {
    /// Handle of the registration.
    pub(crate) handle: String,
    /// JSON for the browser.
    pub(crate) options: String,
    /// Time left.
    pub(crate) life: Duration,
}

/// What a browser made.
pub(crate) struct NewPasskey {
    /// Handle of the registration.
    pub(crate) registration: String,
    /// JSON of the credential.
    pub(crate) credential: String,
    /// Name shown to its user.
    pub(crate) display_name: DisplayName,
}

impl Auth {
    /// Begins to register a passkey.
    pub(crate) async fn start_registration(&self, caller: &Caller, user: UserId) -> Result<Registration, Error> {
        let record = self.user(caller, user).await?;
        let tx = self.db.subject(user, caller.context()).await?;
        let ways = self.changeable(&tx, caller, user).await?;
        if ways.passkeys.len() >= PASSKEYS_MAX {
            return Err(Error::FactorLimit);
        }
        let handle = store::passkey::handle(&tx, user, new_user_handle()).await?;
        let existing: Vec<Credential> = ways.passkeys.into_iter().map(|(_, credential)| credential).collect();
        let named = (record.email.as_str(), record.display_name.as_str());
        let ceremony = self.passkeys.start_registration(handle, named, &existing)?;
        let started = Handle::new();
        let expire_time = self.clock.now() + CEREMONY_LIFE;
        store::passkey::insert_registration(&tx, &started.digest, user, &ceremony.state, expire_time).await?;
        tx.commit().await?;
        Ok(Registration { handle: started.text, options: ceremony.options, life: CEREMONY_LIFE })
    }

    /// Registers what the browser made: from now on sign-ins ask for a second factor, and all other sessions end. Gives the recovery
    /// codes that come with the first factor.
    pub(crate) async fn finish_registration(
        &self,
        caller: &Caller,
        user: UserId,
        new: NewPasskey,
    ) -> Result<(Passkey, Vec<String>), Error> {
        oneself(caller, user)?;
        let now = self.clock.now();
        // Taken for good before it is looked at: a challenge is good for one answer.
        let tx = self.db.subject(user, &quiet(caller.context())).await?;
        let state = store::passkey::take_registration(&tx, &digest(&new.registration), user, now).await?;
        tx.commit().await?;
        let credential = self.passkeys.finish_registration(&state.ok_or(Error::FlowInvalid)?, &new.credential)?;
        let tx = self.change(self.db.subject(user, caller.context()).await?);
        let ways = self.changeable(&tx, caller, user).await?;
        if ways.passkeys.len() >= PASSKEYS_MAX {
            return Err(Error::FactorLimit);
        }
        let passkey = Passkey {
            user,
            id: self.ids.next(),
            display_name: new.display_name.0,
            disabled: false,
            version: 1,
            create_time: now,
            last_use_time: None,
        };
        store::passkey::insert(&tx, &passkey, &credential).await.map_err(|error| {
            if error.is_unique("passkeys_credential") { Error::PasskeyRefused } else { error.into() }
        })?;
        let codes = if ways.has_recovery() { Vec::new() } else { self.new_codes(&tx, user).await? };
        self.end_other_sessions(&tx, caller, user).await?;
        self.tell_factors_changed(&tx, user).await?;
        events::passkey_registered(&tx, &passkey)?;
        tx.commit().await?;
        Ok((passkey, codes))
    }

    /// One passkey of the caller.
    pub(crate) async fn passkey(&self, caller: &Caller, name: PasskeyName) -> Result<Passkey, Error> {
        oneself(caller, name.user)?;
        let tx = self.db.subject(name.user, caller.context()).await?;
        let found = store::passkey::get(&tx, name, false).await?;
        Ok(caller.permit(found, |_| None, name)?)
    }

    /// A page of the caller's passkeys.
    pub(crate) async fn own_passkeys(
        &self,
        caller: &Caller,
        user: UserId,
        request: &PageRequest,
    ) -> Result<(Vec<Passkey>, String), Error> {
        oneself(caller, user)?;
        let binding = user.name();
        let (after, size) = self.page(caller.context(), &binding, request)?;
        let tx = self.db.subject(user, caller.context()).await?;
        let rows = store::passkey::list(&tx, user, after, limit(size)).await?;
        let rows = rows.into_iter().map(|(passkey, _)| passkey).collect();
        Ok(self.cut(caller.context(), &binding, rows, size, |passkey| passkey.id))
    }

    /// Gives a passkey of the caller another name; `None` leaves it as it is.
    pub(crate) async fn rename_passkey(
        &self,
        caller: &Caller,
        name: PasskeyName,
        etag: &str,
        display_name: Option<DisplayName>,
    ) -> Result<Passkey, Error> {
        oneself(caller, name.user)?;
        let tx = self.db.subject(name.user, caller.context()).await?;
        let found = store::passkey::get(&tx, name, true).await?;
        let mut passkey = caller.permit(found, |_| None, name)?;
        Etag::check(etag, passkey.version)?;
        if let Some(DisplayName(text)) = display_name.filter(|text| text.0 != passkey.display_name) {
            passkey.display_name = text;
            passkey.version += 1;
            store::passkey::rename(&tx, &passkey).await?;
        }
        tx.commit().await?;
        Ok(passkey)
    }

    /// Deletes a passkey; one that is gone is fine, so that the call may be repeated. All other sessions end.
    pub(crate) async fn delete_passkey(&self, caller: &Caller, name: PasskeyName) -> Result<(), Error> {
        let user = name.user;
        oneself(caller, user)?;
        let tx = self.change(self.db.subject(user, caller.context()).await?);
        let Ways { factors, mut passkeys } = self.changeable(&tx, caller, user).await?;
        let Some(index) = passkeys.iter().position(|(passkey, _)| passkey.id == name.passkey) else { return Ok(()) };
        let (gone, _) = passkeys.swap_remove(index);
        store::passkey::delete(&tx, name).await?;
        self.after_delete(&tx, user, &Ways { factors, passkeys }).await?;
        self.end_other_sessions(&tx, caller, user).await?;
        self.tell_factors_changed(&tx, user).await?;
        events::passkey_deleted(&tx, &gone)?;
        tx.commit().await
    }
}
