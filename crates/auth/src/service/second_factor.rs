//! The second factor of a sign-in: a code of an app, or a recovery code.
//!
//! Only factors of who gave the first one are looked at. A wrong code leaves the flow as it is; the counter of its factor, which
//! has nothing to do with that of the password, bounds the guesses. Of two parallel uses of one code one wins.
use api::{CallContext, Id, UserId};

use super::{Auth, Step, lockout::quiet};
use crate::{
    credential::{TotpSecret, digest, hmac, plain_recovery_code},
    error::Error,
    model::{Factor, FactorName, Proof},
    store::{
        self,
        login::{Flow, Stage},
    },
};

impl Auth {
    /// Answers with the code of an app.
    pub(crate) async fn prove_totp(&self, context: &CallContext, flow: &str, code: &str) -> Result<Step, Error> {
        let (waiting, proof) = self.waiting(context, flow).await?;
        let counter = self.factor_counter(Factor::Totp, proof.user, waiting.device);
        let test = Box::pin(self.test_totp(context, proof.user, code, true));
        self.attempt(context, counter, test).await?.ok_or(Error::FactorRefused)?;
        let waiting = self.take_flow(context, flow, Stage::Second).await?;
        self.after_proof(context, waiting, proof.and("otp", self.clock.now())).await
    }

    /// Answers with a recovery code.
    pub(crate) async fn prove_recovery(&self, context: &CallContext, flow: &str, code: &str) -> Result<Step, Error> {
        let (waiting, proof) = self.waiting(context, flow).await?;
        let counter = self.factor_counter(Factor::Recovery, proof.user, waiting.device);
        let test = Box::pin(self.use_recovery(context, proof.user, code));
        let left = self.attempt(context, counter, test).await?.ok_or(Error::FactorRefused)?;
        let waiting = self.take_flow(context, flow, Stage::Second).await?;
        let waiting = Flow { recovery_left: Some(i16::try_from(left).unwrap_or(i16::MAX)), ..waiting };
        self.after_proof(context, waiting, proof.and("otp", self.clock.now())).await
    }

    /// The flow, left where it is, and what was proven in it.
    async fn waiting(&self, context: &CallContext, flow: &str) -> Result<(Flow, Proof), Error> {
        let tx = self.db.system("a sign-in that waits for a second factor", &quiet(context)).await?;
        let flow = store::login::flow(&tx, &digest(flow), Stage::Second, self.clock.now()).await?;
        let flow = flow.ok_or(Error::FlowInvalid)?;
        let proof = flow.proven.clone().ok_or(Error::FlowInvalid)?;
        Ok((flow, proof))
    }

    /// Looks for the app that shows this code, and takes the code's step. `confirmed` says which apps count.
    pub(super) async fn test_totp(
        &self,
        context: &CallContext,
        user: UserId,
        code: &str,
        confirmed: bool,
    ) -> Result<Option<Id>, Error> {
        let now = self.clock.now();
        let tx = self.db.subject(user, &quiet(context)).await?;
        for (factor, sealed) in store::factor::secrets(&tx, user, confirmed).await? {
            let name = FactorName { user, factor };
            let Some(step) = self.open_secret(name, &sealed)?.step_of(code, now)? else { continue };
            if store::factor::take_step(&tx, name, confirmed, step, now).await? {
                tx.commit().await?;
                return Ok(Some(factor));
            }
        }
        Ok(None)
    }

    /// The secret of an app.
    pub(super) fn open_secret(&self, name: FactorName, sealed: &[u8]) -> Result<TotpSecret, Error> {
        let bytes = self.vault.open(&purpose(name), sealed).map_err(Error::fault)?;
        Ok(TotpSecret::of_bytes(bytes))
    }

    /// The secret of an app, for the database.
    pub(super) fn seal_secret(&self, name: FactorName, secret: &TotpSecret) -> Vec<u8> {
        self.vault.seal(&purpose(name), secret.bytes())
    }

    async fn use_recovery(&self, context: &CallContext, user: UserId, code: &str) -> Result<Option<i64>, Error> {
        let Some(code) = plain_recovery_code(code) else { return Ok(None) };
        let tx = self.db.subject(user, &quiet(context)).await?;
        let left = store::factor::use_code(&tx, user, &self.recovery_digest(user, &code), self.clock.now()).await?;
        tx.commit().await?;
        Ok(left)
    }

    /// What is stored of a recovery code: worthless without the pepper.
    pub(super) fn recovery_digest(&self, user: UserId, code: &str) -> [u8; 32] {
        hmac(&self.identifiers, &[b"recovery code\0", user.uuid().as_bytes(), code.as_bytes()])
    }
}

/// What a sealed secret is bound to.
pub(super) fn purpose(name: FactorName) -> String {
    format!("totp {name}")
}
