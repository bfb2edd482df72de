//! What a link in a mail does: proves an address, makes an account, chooses a new password.
use api::{CallContext, Caller, UserId};
use db::{Record, Tx};

use super::super::{
    Auth, Change,
    key::in_person,
    lockout::quiet,
    session::owner,
    user::{home, names, oneself, refused},
};
use crate::{
    credential::{Password, PasswordHash, digest},
    error::Error,
    events,
    model::{DisplayName, Email, MailDelivery, MailRequest, Purpose, RevocationKind, User, UserState},
    store,
};

/// What a sign-up says.
pub(crate) struct SignUp {
    /// Address as given; may be empty with an invitation.
    pub(crate) email: String,
    /// Name shown to people.
    pub(crate) display_name: DisplayName,
    /// Password, not tested yet.
    pub(crate) password: String,
    /// Token of an invitation, or empty.
    pub(crate) invitation: String,
}

const PROOFS: [Purpose; 3] = [Purpose::SignUp, Purpose::VerifyEmail, Purpose::ChangeEmail];

impl Auth {
    /// Begins an account; with an invitation it is made at once, since the token proves the address.
    pub(crate) async fn sign_up(&self, context: &CallContext, sign_up: SignUp) -> Result<(), Error> {
        if !sign_up.invitation.is_empty() {
            return self.sign_up_invited(context, sign_up).await;
        }
        if !self.config.sign_up {
            return Err(Error::SignUpClosed);
        }
        let email = Email::parse(&sign_up.email)?;
        let password =
            Password::choose("password", &sign_up.password, &names("", &sign_up.display_name.0, &email.text))?;
        let PasswordHash(hash) = self.hashes.make(password).await?;
        let request = MailRequest {
            purpose: Purpose::SignUp,
            email: email.text,
            email_key: email.key,
            display_name: sign_up.display_name.0,
            hash,
            flow: None,
        };
        self.ask_mail(context, request).await
    }

    async fn sign_up_invited(&self, context: &CallContext, sign_up: SignUp) -> Result<(), Error> {
        let secret = digest(&sign_up.invitation);
        let tx = self.db.system("look at an invitation", context).await?;
        let mail = store::mail::find(&tx, &secret, &[Purpose::Invitation], self.clock.now()).await?;
        let mail = mail.ok_or(Error::MailTokenInvalid)?;
        drop(tx);
        if !sign_up.email.is_empty() && Email::key(&sign_up.email) != mail.email_key {
            return Err(Error::MailTokenInvalid);
        }
        let named = names("", &sign_up.display_name.0, &mail.email);
        let hash = self.hashes.make(Password::choose("password", &sign_up.password, &named)?).await?;
        let tx = self.change(self.db.system("make the account of somebody invited", context).await?);
        let mail = MailDelivery { display_name: sign_up.display_name.0, hash: hash.0, ..mail };
        let user = self.make_account(&tx, &mail).await?;
        self.join(&tx, user, &secret, None).await?;
        tx.commit().await
    }

    /// What a link that proves an address is about, and whether it takes a password: an account that gets another address may have none.
    pub(crate) async fn look_up_verification(
        &self,
        context: &CallContext,
        token: &str,
    ) -> Result<(MailDelivery, bool), Error> {
        let tx = self.db.system("look at a proof of an address", &quiet(context)).await?;
        let mail = store::mail::find(&tx, &digest(token), &PROOFS, self.clock.now()).await?;
        let mail = mail.ok_or(Error::MailTokenInvalid)?;
        let password_needed = match (mail.purpose, mail.user) {
            (Purpose::ChangeEmail, Some(user)) => store::user::password(&tx, user).await?.is_some(),
            (purpose, _) => purpose == Purpose::SignUp,
        };
        Ok((mail, password_needed))
    }

    /// Proves an address. A sign-up is finished, and an account gets another address, by who knows its password, for a stranger may have
    /// begun it; a wrong one leaves the link good.
    pub(crate) async fn verify_email(&self, caller: &Caller, token: &str, password: &str) -> Result<(), Error> {
        let context = caller.context();
        let (mail, _) = self.look_up_verification(context, token).await?;
        let password = Password::present("password", password)?;
        let proven = match (mail.purpose, mail.user) {
            (Purpose::SignUp, _) => self.hashes.test(password, Some(PasswordHash(mail.hash))).await?,
            (Purpose::ChangeEmail, Some(user)) => self.test_owner(caller, user, password).await.map(|()| true)?,
            _ => true,
        };
        if !proven {
            return Err(Error::PasswordWrong);
        }
        let now = self.clock.now();
        let tx = self.change(self.db.system("prove an address", context).await?);
        if let Some(user) = mail.user {
            store::pending::hold(&tx, user).await?;
        }
        let mail = store::mail::consume(&tx, &digest(token), &PROOFS, now).await?;
        let mail = mail.ok_or(Error::MailTokenInvalid)?;
        match (mail.purpose, mail.user) {
            (Purpose::SignUp, None) => {
                self.make_account(&tx, &mail).await?;
            }
            (Purpose::ChangeEmail, Some(user)) => self.move_address(&tx, user, &mail).await?,
            (_, Some(user)) => {
                self.prove_address(&tx, user, &mail.email_key, None).await?;
                tx.audit(Record::done("email.verified").about(user.name()).by(user.name()));
            }
            (_, None) => return Err(Error::MailTokenInvalid),
        }
        tx.commit().await
    }

    /// Who reads a new mailbox need not be whose account it is: that is who knows its password or, where it has none, who is signed in to
    /// it. Wrong passwords count among those at such links, which nobody has whom somebody signed in has not asked for one.
    async fn test_owner(&self, caller: &Caller, user: UserId, password: Password) -> Result<(), Error> {
        let context = caller.context();
        let tx = self.db.system("whose account gets another address", &quiet(context)).await?;
        store::user::get(&tx, user).await?.filter(User::is_active).ok_or(Error::MailTokenInvalid)?;
        let Some(hash) = store::user::password(&tx, user).await? else {
            let session = in_person(&tx, caller).await?;
            return if session.user == user { Ok(()) } else { Err(Error::SignInNeeded) };
        };
        drop(tx);
        let test = async { Ok(self.hashes.test(password, Some(hash)).await?.then_some(())) };
        self.attempt(context, self.link_counter(user), test).await?.ok_or(Error::PasswordWrong)
    }

    async fn make_account(&self, tx: &Tx, mail: &MailDelivery) -> Result<UserId, Error> {
        let now = self.clock.now();
        let user = User {
            id: self.ids.next().into(),
            email: mail.email.clone(),
            display_name: mail.display_name.clone(),
            managing_organization: None,
            state: UserState::Active,
            email_verified: true,
            create_time: now,
            update_time: now,
        };
        let email = Email { text: mail.email.clone(), key: mail.email_key.clone() };
        store::user::insert(tx, &user, &email).await.map_err(|error| refused(error, user.id))?;
        store::user::insert_password(tx, user.id, &PasswordHash(mail.hash.clone()), now).await?;
        store::user::verify(tx, user.id, &mail.email_key, now).await?;
        events::user_created(tx, &user)?;
        tx.audit(Record::done("user.created").about(user.id.name()).by(user.id.name()));
        Ok(user.id)
    }

    /// The new address is in force; the old one hears of it.
    ///
    /// Where it is the first address that is proven, whoever set the account up has as little to come back with as after any other first
    /// proof: an administrator knows the password that was asked for here.
    async fn move_address(&self, tx: &Change<'_>, user: UserId, mail: &MailDelivery) -> Result<(), Error> {
        let now = self.clock.now();
        let before = store::user::get(tx, user).await?.ok_or(Error::MailTokenInvalid)?;
        let unproven = self.void_unproven(tx, user, &Email::key(&before.email), None).await?;
        let email = Email { text: mail.email.clone(), key: mail.email_key.clone() };
        store::user::save_email(tx, user, &email, now).await.map_err(|error| refused(error, user))?;
        store::mail::end_of_user(tx, user, now).await?;
        self.reset_counter(tx, self.link_counter(user)).await?;
        self.notice(tx, &before, Purpose::NoticeEmailChanged).await?;
        if let Some(unproven) = unproven {
            let moved = User { email: email.text, ..unproven };
            self.notice(tx, &moved, Purpose::NoticeFactorsChanged).await?;
        }
        tx.audit(Record::done("email.changed").about(user.name()).by(user.name()));
        Ok(())
    }

    /// Asks for a new address: it is in force once it is proven.
    pub(crate) async fn change_email(&self, caller: &Caller, user: UserId, email: &str) -> Result<(), Error> {
        let email = Email::parse(email)?;
        oneself(caller, user)?;
        let record = self.user(caller, user).await?;
        let tx = self.db.subject(user, caller.context()).await?;
        self.few_mails(&tx, Purpose::ChangeEmail, &email.key).await?;
        let mail = MailDelivery {
            email: email.text,
            email_key: email.key,
            user: Some(user),
            display_name: record.display_name,
            ..self.new_mail(Purpose::ChangeEmail)
        };
        store::mail::end_pending(&tx, user, Purpose::ChangeEmail, self.clock.now()).await?;
        self.post(&tx, &mail).await?;
        tx.audit(Record::done("email.change_requested").about(user.name()).of(home(caller)));
        Ok(tx.commit().await?)
    }

    /// Chooses a new password. The password is tested before the link is used up, so that a refused one can be replaced.
    pub(crate) async fn reset_password(&self, context: &CallContext, token: &str, new: &str) -> Result<(), Error> {
        let secret = digest(token);
        let tx = self.db.system("look at a reset of a password", context).await?;
        let found = store::mail::find(&tx, &secret, &[Purpose::ResetPassword], self.clock.now()).await?;
        let user = found.and_then(|mail| mail.user).ok_or(Error::MailTokenInvalid)?;
        let user = store::user::get(&tx, user).await?.filter(User::is_active).ok_or(Error::MailTokenInvalid)?;
        drop(tx);
        let password = Password::choose("new_password", new, &names("", &user.display_name, &user.email))?;
        let hash = self.hashes.make(password).await?;
        let now = self.clock.now();
        let tx = self.change(self.db.system("choose a new password by mail", context).await?);
        store::pending::hold(&tx, user.id).await?;
        let used = store::mail::consume(&tx, &secret, &[Purpose::ResetPassword], now).await?;
        used.ok_or(Error::MailTokenInvalid)?;
        self.void_unproven(&tx, user.id, &Email::key(&user.email), None).await?;
        self.replace_password(&tx, &user, &hash).await?;
        tx.audit(Record::done("password.reset").about(user.id.name()).by(user.id.name()));
        tx.commit().await
    }

    /// A new password in force of a proof that is not the old one: everything that rests on the old one ends.
    pub(in crate::service) async fn replace_password(
        &self,
        tx: &Change<'_>,
        user: &User,
        hash: &PasswordHash,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        store::pending::void(tx, user.id).await?;
        store::mail::end_of_user(tx, user.id, now).await?;
        self.reset_password_counters(tx, user.id, &user.email).await?;
        for session in store::session::delete_others(tx, user.id, api::Id::ZERO).await? {
            self.revoke(tx, RevocationKind::Session(session), owner(user.id, None), false).await?;
        }
        store::user::set_password(tx, user.id, hash, now).await?;
        self.notice(tx, user, Purpose::NoticePasswordChanged).await
    }

    /// Tells the owner of an account what has happened to it, no more often than other mails go to one address: who has set an account up
    /// for an address that is not his could fill its mailbox otherwise.
    pub(in crate::service) async fn notice(&self, tx: &Tx, user: &User, purpose: Purpose) -> Result<(), Error> {
        if self.too_many(tx, purpose, &Email::key(&user.email), None).await? {
            return Ok(());
        }
        let mail = MailDelivery {
            email: user.email.clone(),
            email_key: Email::key(&user.email),
            user: Some(user.id),
            display_name: user.display_name.clone(),
            ..self.new_mail(purpose)
        };
        self.post(tx, &mail).await
    }
}
