//! Passkeys in a sign-in: alone, since they verify their user, or as the second factor after a password.
//!
//! An answer takes its flow whether it is right or not: a challenge is good once.
use api::{CallContext, UserId};

use super::{Auth, Step, lockout::quiet};
use crate::{
    credential::{Credential, Tested, digest},
    error::Error,
    events, metrics,
    model::{Passkey, Proof},
    store::{
        self,
        login::{Flow, Stage},
    },
};

impl Auth {
    /// Answers with a passkey. `mark` is that of the device.
    pub(crate) async fn prove_passkey(
        &self,
        context: &CallContext,
        flow: &str,
        answer: &str,
        mark: &str,
    ) -> Result<Step, Error> {
        let tx = self.db.system("the next step of a sign-in", &quiet(context)).await?;
        let flow = store::login::take_ceremony(&tx, &digest(flow), self.clock.now()).await?;
        tx.commit().await?;
        let mut flow = flow.ok_or(Error::FlowInvalid)?;
        let ceremony = flow.ceremony.take().ok_or(Error::FlowInvalid)?;
        match flow.proven.clone() {
            Some(proof) if flow.stage == Stage::Second => {
                self.test_passkey(context, Whose::Proven(proof.user, proof.version), &ceremony, answer).await?;
                self.after_proof(context, flow, proof.and("pop", self.clock.now())).await
            }
            _ => {
                let (user, version) = self.test_passkey(context, Whose::Anybody, &ceremony, answer).await?;
                if flow.step_up.as_ref().is_some_and(|step_up| step_up.user != user) {
                    return Err(Error::PasskeyRefused);
                }
                let device = self.device_class(Some(user), mark);
                let amr = ["pop", "user", "mfa"].map(str::to_owned).to_vec();
                let proof = Proof { user, version, time: self.clock.now(), amr };
                self.after_first(context, Flow { device, ..flow }, proof).await
            }
        }
    }

    /// Gives the user whose passkey it is, and the version of his credentials; that of the first factor holds where it is the second. One
    /// whose counter went back is disabled for good.
    async fn test_passkey(
        &self,
        context: &CallContext,
        whose: Whose,
        ceremony: &str,
        answer: &str,
    ) -> Result<(UserId, i64), Error> {
        let presented = self.passkeys.presented(answer)?;
        let tx = self.db.system("the passkey of a sign-in", &quiet(context)).await?;
        let found = match whose {
            Whose::Proven(user, version) => {
                store::passkey::of_user(&tx, user, &presented.credential).await?.map(|found| (found, version))
            }
            Whose::Anybody => {
                let handle = presented.handle.ok_or(Error::PasskeyRefused)?;
                store::passkey::presented(&tx, handle, &presented.credential).await?
            }
        };
        let ((passkey, credential), version): ((Passkey, Credential), i64) = found.ok_or(Error::PasskeyRefused)?;
        match self.passkeys.test(ceremony, answer, &credential)? {
            Tested::Good(credential) => {
                store::passkey::used(&tx, passkey.name(), &credential, self.clock.now()).await?;
                tx.commit().await?;
                Ok((passkey.user, version))
            }
            Tested::Copied => {
                tracing::error!(passkey = %passkey.name(), "the counter of a passkey went back, it is disabled: somebody may have a copy");
                store::passkey::disable(&tx, passkey.name()).await?;
                self.tell_factors_changed(&tx, passkey.user).await?;
                events::passkey_disabled(&tx, &passkey)?;
                tx.commit().await?;
                metrics::sign_in("passkey_copied");
                Err(Error::PasskeyRefused)
            }
        }
    }
}

/// Whose passkey may answer.
enum Whose {
    Proven(UserId, i64),
    Anybody,
}
