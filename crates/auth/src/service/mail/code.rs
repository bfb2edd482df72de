//! Signing in by a code out of a mail, instead of a password.
//!
//! A code is good in the flow that asked for it and nowhere else, so a link or code that somebody else opens signs nobody in. The flow
//! is over after one answer: a guess costs a mail, and of those there are five an hour.
use api::CallContext;
use subtle::ConstantTimeEq;

use super::super::{Auth, lockout::quiet, login::Step};
use crate::{
    credential::digest,
    error::Error,
    model::{Email, MailRequest, Proof, Purpose},
    store::{self, login::Stage},
};

impl Auth {
    /// Sends a code for a flow that waits for a first factor.
    pub(crate) async fn request_email_code(&self, context: &CallContext, flow: &str, email: &str) -> Result<(), Error> {
        let email = Email::parse(email)?;
        let handle = digest(flow);
        let tx = self.db.system("look at a sign-in", &quiet(context)).await?;
        let waiting = store::login::flow(&tx, &handle, Stage::First, self.clock.now()).await?;
        drop(tx);
        waiting.ok_or(Error::FlowInvalid)?;
        let (display_name, hash) = (String::new(), String::new());
        let (purpose, flow) = (Purpose::SignIn, Some(handle));
        let request = MailRequest { purpose, email: email.text, email_key: email.key, display_name, hash, flow };
        self.ask_mail(context, request).await
    }

    /// Tests a code. What is proven is that somebody reads the mailbox; a second factor is still asked for.
    pub(crate) async fn prove_mailbox(&self, context: &CallContext, flow: &str, code: &str) -> Result<Step, Error> {
        let handle = digest(flow);
        let flow = self.take_flow(context, flow, Stage::First).await?;
        let now = self.clock.now();
        let tx = self.change(self.db.system("test a code out of a mail", &quiet(context)).await?);
        let mail = store::mail::of_flow(&tx, &handle, now).await?.ok_or(Error::MailCodeRefused)?;
        let right = bool::from(self.mail_key.code(mail.id).as_bytes().ct_eq(code.trim().as_bytes()));
        let user = mail.user.filter(|_| right).ok_or(Error::MailCodeRefused)?;
        if flow.step_up.as_ref().is_some_and(|step_up| step_up.user != user) {
            return Err(Error::MailCodeRefused);
        }
        store::mail::end_of_user(&tx, user, now).await?;
        self.prove_address(&tx, user, &mail.email_key).await?;
        tx.commit().await?;
        self.after_first(context, flow, Proof { user, time: now, amr: vec!["otp".to_owned()] }).await
    }
}
