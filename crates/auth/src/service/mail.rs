//! Mails: what anybody may ask for, the worker that looks whether there is an account, and what notification takes to write the mail.
//!
//! Whoever asks hears the same for every address, after the same work: one row in a queue. The worker finds the account, if there is
//! one, makes the delivery and publishes its id. The secret is derived when the mail is written, and the time of the link runs from then.
mod account;
mod code;

use api::{CallContext, Id};
use db::{Record, Tx};
use time::Duration;

use super::{Auth, invitation::inviter_name};
use crate::{
    credential::hmac,
    error::Error,
    events,
    model::{ADDRESS_MAILS_PER_HOUR, BROWSER, Email, MAILS_PER_HOUR, MailDelivery, MailRequest, Purpose, network},
    store,
};

pub(crate) use account::SignUp;
pub(crate) use code::FromMail;

/// Requests looked at in one transaction.
const BATCH: i64 = 50;

/// A mail as notification writes it.
pub(crate) struct MailText {
    /// What was to be made.
    pub(crate) delivery: MailDelivery,
    /// Link with the secret; empty for a notice.
    pub(crate) link: String,
    /// Code of a sign-in.
    pub(crate) code: String,
    /// Organization that invites, or in which somebody acts as the recipient.
    pub(crate) organization: String,
    /// Who invites.
    pub(crate) inviter: String,
}

impl Auth {
    /// Keeps a request for the worker.
    pub(super) async fn ask_mail(&self, context: &CallContext, request: MailRequest) -> Result<(), Error> {
        let tx = self.db.system("keep a request for a mail", context).await?;
        let asker = hmac(&self.identifiers, &[b"asks for a mail", network(&context.network).as_bytes()]);
        if !store::mail::ask(&tx, self.ids.next(), &request, &asker, self.clock.now()).await? {
            return Err(Error::MailQueueFull);
        }
        tx.audit(Record::done("mail.requested").with("purpose", format!("{:?}", request.purpose)));
        tx.commit().await?;
        self.mails.notify_one();
        Ok(())
    }

    /// A forgotten password or an address to prove.
    pub(crate) async fn request_mail(&self, context: &CallContext, purpose: Purpose, email: &str) -> Result<(), Error> {
        let email = Email::parse(email)?;
        let (display_name, hash, flow) = (String::new(), String::new(), None);
        let request = MailRequest { purpose, email: email.text, email_key: email.key, display_name, hash, flow };
        self.ask_mail(context, request).await
    }

    /// Ends when somebody has asked for a mail.
    pub(crate) async fn mail_asked(&self) {
        self.mails.notified().await;
    }

    /// Looks at requests that wait; gives their number.
    pub(crate) async fn serve_mails(&self) -> Result<usize, Error> {
        let context = CallContext::background("auth-mails", &self.ids);
        let peek = self.db.tenant_as(api::OrganizationId::SYSTEM, &context).await?;
        if !store::mail::waits(&peek).await? {
            return Ok(0);
        }
        drop(peek);
        let tx = self.db.system("look whose mails were asked for", &context).await?;
        let requests = store::mail::take_requests(&tx, BATCH).await?;
        let count = requests.len();
        for (request, asker) in requests {
            self.serve_mail(&tx, request, &asker).await?;
        }
        tx.commit().await?;
        Ok(count)
    }

    async fn serve_mail(&self, tx: &Tx, request: MailRequest, asker: &[u8]) -> Result<(), Error> {
        let user = store::user::find(tx, &request.email_key).await?;
        let purpose = match (request.purpose, &user) {
            (Purpose::SignUp, Some(_)) => Purpose::NoticeSignUp,
            (Purpose::SignUp, None) => Purpose::SignUp,
            (Purpose::VerifyEmail, Some(user)) if !user.email_verified => Purpose::VerifyEmail,
            (Purpose::ResetPassword | Purpose::SignIn, Some(user)) if user.is_active() => request.purpose,
            _ => return Ok(()),
        };
        if self.too_many(tx, purpose, &request.email_key, Some(asker)).await? {
            return Ok(());
        }
        let sign_up = purpose == Purpose::SignUp;
        let (email, display_name) = match &user {
            Some(user) => (user.email.clone(), user.display_name.clone()),
            None => (request.email, request.display_name),
        };
        let mail = MailDelivery {
            email,
            email_key: request.email_key,
            user: user.map(|user| user.id),
            flow: request.flow,
            display_name,
            hash: if sign_up { request.hash } else { String::new() },
            ..self.new_mail(purpose)
        };
        self.post(tx, &mail).await?;
        Ok(store::mail::asked_by(tx, mail.id, asker).await?)
    }

    /// What somebody known asks for goes no more often to one address than what strangers do. The transaction sees what he, or his
    /// organization, has asked for.
    pub(super) async fn few_mails(&self, tx: &Tx, purpose: Purpose, email_key: &str) -> Result<(), Error> {
        if self.too_many(tx, purpose, email_key, None).await? { Err(Error::MailLimit) } else { Ok(()) }
    }

    /// Whoever asks has a number of his own, so that a stranger does not use up an owner's; and there is one for the address.
    async fn too_many(&self, tx: &Tx, purpose: Purpose, key: &str, asker: Option<&[u8]>) -> Result<bool, Error> {
        let hour = self.clock.now() - Duration::HOUR;
        let (own, all) = store::mail::count_since(tx, key, purpose, asker, hour).await?;
        Ok(own >= MAILS_PER_HOUR || all >= ADDRESS_MAILS_PER_HOUR)
    }

    /// A mail that is about nobody yet.
    pub(super) fn new_mail(&self, purpose: Purpose) -> MailDelivery {
        MailDelivery {
            id: self.ids.next(),
            purpose,
            email: String::new(),
            email_key: String::new(),
            user: None,
            organization: None,
            invitation: None,
            flow: None,
            display_name: String::new(),
            hash: String::new(),
            told: None,
            expire_time: self.clock.now() + purpose.life(),
            sent: false,
        }
    }

    /// Sends a mail on its way, in the transaction of its cause; earlier links of its kind to the address are dead. Codes are not: each is
    /// good in its flow alone, and who asks elsewhere must not end them.
    pub(super) async fn post(&self, tx: &Tx, mail: &MailDelivery) -> Result<(), Error> {
        let now = self.clock.now();
        if mail.purpose.replaces() {
            store::mail::end_earlier(tx, &mail.email_key, mail.purpose, now).await?;
        }
        store::mail::insert(tx, mail, &self.mail_key.digest(mail.id), now).await?;
        events::mail_requested(tx, mail)?;
        Ok(())
    }

    /// What a mail says, for the workload that sends it. The first call starts the time of the link; every call says the same.
    pub(crate) async fn take_mail(&self, context: &CallContext, delivery: Id) -> Result<MailText, Error> {
        let now = self.clock.now();
        let tx = self.db.system("write a mail", context).await?;
        let mut mail = store::mail::lock(&tx, delivery, now).await?.ok_or(Error::MailOver)?;
        if !mail.sent {
            mail.expire_time = mail.purpose.end(mail.expire_time, now);
            store::mail::mark_sent(&tx, delivery, now, mail.expire_time).await?;
        }
        let (organization, inviter) = self.invites(&tx, &mail).await?;
        let page = self.page_of(&tx, &mail).await?;
        tx.commit().await?;
        let token = self.mail_key.token(delivery);
        let link = page.map(|page| format!("{}/auth/link/{page}?token={token}", self.issuer));
        let code = if mail.purpose == Purpose::SignIn { self.mail_key.code(delivery) } else { String::new() };
        Ok(MailText { delivery: mail, link: link.unwrap_or_default(), code, organization, inviter })
    }

    /// Where the link leads. A link to sign in is good in the browser that asked for it, so a flow of another client has the code alone.
    async fn page_of(&self, tx: &Tx, mail: &MailDelivery) -> Result<Option<&'static str>, Error> {
        let page = mail.purpose.page();
        if let Some(flow) = &mail.flow {
            let client = store::login::client_of_flow(tx, flow).await?;
            return Ok(page.filter(|_| client.as_deref() == Some(BROWSER)));
        }
        Ok(page)
    }

    async fn invites(&self, tx: &Tx, mail: &MailDelivery) -> Result<(String, String), Error> {
        let Some(organization) = mail.organization else { return Ok(Default::default()) };
        let name = store::organization::get(tx, organization).await?.map(|found| found.display_name);
        let invitation = match mail.invitation {
            Some(invitation) => store::invitation::get(tx, organization, invitation).await?,
            None => None,
        };
        let inviter = match invitation {
            Some(found) => inviter_name(tx, &found).await?,
            None => String::new(),
        };
        Ok((name.unwrap_or_default(), inviter))
    }
}
