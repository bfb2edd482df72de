//! Signing in by a mail, instead of a password: by the code in it, or by its link in the browser that asked for it.
//!
//! Both are good in the flow that asked and nowhere else, so a code or link that somebody else opens signs nobody in. The flow is over
//! after one code: a guess costs a mail, and of those an address gets twenty an hour, five for one network that asks. What a link carries
//! cannot be guessed, so a wrong one, of an older mail perhaps, leaves the flow as it is.
use api::CallContext;
use subtle::ConstantTimeEq;

use super::super::{Auth, lockout::quiet, login::Step};
use crate::{
    credential::digest,
    error::Error,
    model::{Email, MailDelivery, MailRequest, Proof, Purpose, REQUEST_LIFE},
    store::{self, login::Flow},
};

/// What somebody has out of a mail.
#[derive(Clone, Copy)]
pub(crate) enum FromMail<'a> {
    /// The code, as typed.
    Code(&'a str),
    /// What the link carries.
    Link(&'a str),
}

impl Auth {
    /// Sends a mail for a flow that waits for a first factor.
    pub(crate) async fn request_email_code(&self, context: &CallContext, flow: &str, email: &str) -> Result<(), Error> {
        let email = Email::parse(email)?;
        let (handle, now) = (digest(flow), self.clock.now());
        let tx = self.db.system("a sign-in waits for a mail", &quiet(context)).await?;
        if !store::login::await_mail(&tx, &handle, now + REQUEST_LIFE, now).await? {
            return Err(Error::FlowInvalid);
        }
        tx.commit().await?;
        let (display_name, hash) = (String::new(), String::new());
        let (purpose, flow) = (Purpose::SignIn, Some(handle));
        let request = MailRequest { purpose, email: email.text, email_key: email.key, display_name, hash, flow };
        self.ask_mail(context, request).await
    }

    /// Tests what came out of a mail. What is proven is that somebody reads the mailbox; a second factor is still asked for. `mark` is that
    /// of the device.
    pub(crate) async fn prove_mailbox(
        &self,
        context: &CallContext,
        flow: &str,
        given: FromMail<'_>,
        mark: &str,
    ) -> Result<Step, Error> {
        let (handle, now) = (digest(flow), self.clock.now());
        let tx = self.change(self.db.system("test what came out of a mail", &quiet(context)).await?);
        let asked = store::mail::user_of_flow(&tx, &handle, now).await?;
        if let Some(user) = asked {
            store::pending::hold(&tx, user).await?;
        }
        let mail = store::mail::of_flow(&tx, &handle, now).await?.filter(|mail| mail.user == asked);
        let mail = mail.filter(|mail| self.says(mail, given));
        if mail.is_none() && matches!(given, FromMail::Link(_)) {
            return Err(Error::MailTokenInvalid);
        }
        let flow = store::login::take_mail_flow(&tx, &handle, now).await?.ok_or(Error::FlowInvalid)?;
        let expected = flow.step_up.as_ref().map(|step_up| step_up.user);
        let proven = mail.and_then(|mail| mail.user.map(|user| (user, mail.email_key)));
        let proven = proven.filter(|(user, _)| expected.is_none_or(|expected| expected == *user));
        let mut proof = None;
        if let Some((user, email_key)) = proven {
            store::mail::end_of_sign_in(&tx, user, now).await?;
            self.prove_address(&tx, user, &email_key, None).await?;
            let version = store::pending::version(&tx, user).await?;
            proof = version.map(|version| Proof { user, version, time: now, amr: vec!["otp".to_owned()] });
        }
        tx.commit().await?;
        let proof = proof.ok_or(Error::MailCodeRefused)?;
        let device = self.device_class(Some(proof.user), mark);
        self.after_first(context, Flow { device, ..flow }, proof).await
    }

    fn says(&self, mail: &MailDelivery, given: FromMail<'_>) -> bool {
        let (said, given) = match given {
            FromMail::Code(code) => (self.mail_key.code(mail.id), code.trim()),
            FromMail::Link(token) => (self.mail_key.token(mail.id), token),
        };
        bool::from(said.as_bytes().ct_eq(given.as_bytes()))
    }
}
