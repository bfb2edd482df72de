//! Factors that somebody has lost, taken from him by who manages his account.
//!
//! It opens an account to whoever knows its password or reads its mailbox, so it is for the organization that made the account alone, and
//! not where the account is an operator's or owns another organization. It takes a person who has signed in, it ends everything that was
//! signed in, and the account's owner hears of it.
use api::{Caller, UserId};
use db::Record;

use super::{Auth, factor::Ways, key::in_person};
use crate::{error::Error, events, store};

impl Auth {
    /// Takes all factors and passkeys of a user. Where there are none, nothing changes, so that the call may be repeated.
    pub(crate) async fn reset_factors(&self, caller: &Caller, user: UserId) -> Result<(), Error> {
        let tx = self.change(self.db.system("take lost factors from a user", caller.context()).await?);
        let (found, _) = self.managed(caller, &tx, user).await?;
        in_person(&tx, caller).await?;
        self.of_nobody_else(caller, &tx, user).await?;
        store::pending::hold(&tx, user).await?;
        let Ways { factors, passkeys } = self.ways(&tx, user).await?;
        if factors.is_empty() && passkeys.is_empty() {
            return tx.commit().await;
        }
        store::factor::delete_all(&tx, user).await?;
        for factor in factors.iter().filter(|factor| factor.confirmed) {
            events::factor_deleted(&tx, factor)?;
        }
        for (passkey, _) in &passkeys {
            events::passkey_deleted(&tx, passkey)?;
        }
        if !store::user::password_fits_alone(&tx, user).await? {
            store::user::delete_password(&tx, user).await?;
        }
        self.reset_factor_counters(&tx, user).await?;
        self.end_all(&tx, user).await?;
        self.tell_factors_changed(&tx, user).await?;
        tx.audit(Record::done("user.factors_reset").about(found.id.name()).of(caller.organization()?));
        tx.commit().await
    }
}
