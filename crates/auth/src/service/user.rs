//! Users: made by administrators, read by themselves and by workloads; passwords.
use std::collections::HashMap;

use api::{Caller, OrganizationId, UserId};
use db::Record;

use db::Tx;

use super::{
    Auth, Once, PageRequest,
    key::{in_person, in_person_till_the_end},
    limit,
    lockout::quiet,
};
use crate::{
    credential::Password,
    error::{Error, Unfit},
    events,
    model::{DisplayName, Email, Membership, Purpose, Role, User, UserState},
    store,
};

/// What a new user is made of.
pub(crate) struct NewUser {
    /// Id chosen by the caller.
    pub(crate) id: Option<UserId>,
    /// E-mail address.
    pub(crate) email: Email,
    /// Name shown to people.
    pub(crate) display_name: DisplayName,
    /// First password, not tested yet.
    pub(crate) password: String,
    /// Role in the organization.
    pub(crate) role: Option<Role>,
}

impl Auth {
    /// Creates a user with a first password and makes it a member.
    pub(crate) async fn create_user(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        new: NewUser,
        once: &Once,
    ) -> Result<User, Error> {
        let name = self.organization(caller, organization).await?.display_name;
        let password =
            Password::choose("password", &new.password, &names(&name, &new.display_name.0, &new.email.text))?;
        if let Some(first) = self.before_hashing(caller, &new, once).await? {
            return Ok(first);
        }
        let hash = self.hashes.make(password).await?;
        let now = self.clock.now();
        let tx = self.db.tenant(caller).await?;
        if let Some(first) = once.replay(&tx).await? {
            return Ok(first);
        }
        store::organization::lock(&tx, organization).await?;
        // Who knows the password signs in with all rights of the user: no key makes that.
        in_person_till_the_end(&tx, caller).await?;
        self.may_give(caller, &tx, new.role, &[]).await?;
        let user = User {
            id: new.id.unwrap_or_else(|| self.ids.next().into()),
            email: new.email.text.clone(),
            display_name: new.display_name.0,
            managing_organization: Some(organization),
            state: UserState::Active,
            email_verified: false,
            create_time: now,
            update_time: now,
        };
        store::user::insert(&tx, &user, &new.email).await.map_err(|error| refused(error, user.id))?;
        self.add_member(&tx, organization, user.id, new.role).await?;
        store::user::insert_password(&tx, user.id, &hash, now).await?;
        events::user_created(&tx, &user)?;
        tx.audit(Record::done("user.created").about(user.id.name()));
        once.remember(&tx, &user)?;
        tx.commit().await?;
        Ok(user)
    }

    /// Hashing is dear, and sign-ins wait for it: none is made for a request that was answered before or that must fail.
    async fn before_hashing(&self, caller: &Caller, new: &NewUser, once: &Once) -> Result<Option<User>, Error> {
        let tx = self.db.tenant(caller).await?;
        if let Some(first) = once.replay(&tx).await? {
            return Ok(Some(first));
        }
        in_person(&tx, caller).await?;
        self.may_give(caller, &tx, new.role, &[]).await?;
        drop(tx);
        let tx = self.db.system("whether an address is free", &quiet(caller.context())).await?;
        match store::user::find(&tx, &new.email.key).await? {
            Some(_) => Err(Error::EmailTaken),
            None => Ok(None),
        }
    }

    /// The caller's own record.
    pub(crate) async fn user(&self, caller: &Caller, user: UserId) -> Result<User, Error> {
        oneself(caller, user)?;
        let tx = self.db.subject(user, caller.context()).await?;
        let found = store::user::get(&tx, user).await?;
        Ok(caller.permit(found, |_| None, user.name())?)
    }

    /// A page of the caller's memberships.
    pub(crate) async fn own_memberships(
        &self,
        caller: &Caller,
        user: UserId,
        request: &PageRequest,
    ) -> Result<(Vec<Membership>, String), Error> {
        oneself(caller, user)?;
        let binding = user.name();
        let (after, size) = self.page(caller.context(), &binding, request)?;
        let tx = self.db.subject(user, caller.context()).await?;
        let rows = store::membership::list_of_user(&tx, user, after, limit(size)).await?;
        Ok(self.cut(caller.context(), &binding, rows, size, |membership| membership.id))
    }

    /// Changes the caller's password; all other sessions end. Wrong current passwords count for the session that he calls with.
    pub(crate) async fn change_password(
        &self,
        caller: &Caller,
        user: UserId,
        current: &str,
        new: &str,
    ) -> Result<(), Error> {
        let current = Password::present("current_password", current)?;
        let record = self.user(caller, user).await?;
        let context = caller.context();
        let tx = self.db.subject(user, context).await?;
        let known = store::user::password(&tx, user).await?;
        let beside = self.has_second_factor(&tx, user).await?;
        let session = caller.session().and_then(|session| session.parse().ok()).ok_or(Error::SignInNeeded)?;
        let root = store::session::root(&tx, session).await?.ok_or(Error::SignInNeeded)?;
        drop(tx);
        let counter = self.session_counter(root);
        let test = async { Ok(self.hashes.test(current, known.clone()).await?.then_some(())) };
        self.attempt(context, counter, test).await?.ok_or(Error::PasswordWrong)?;
        let tested = known.ok_or(Error::PasswordWrong)?;
        let named = names("", &record.display_name, &record.email);
        let password = match beside {
            true => Password::choose_beside("new_password", new, &named)?,
            false => Password::choose("new_password", new, &named)?,
        };
        let short = !password.fits_alone();
        let hash = self.hashes.make(password).await?;
        let tx = self.change(self.db.subject(user, context).await?);
        store::pending::hold(&tx, user).await?;
        if short && !self.has_second_factor(&tx, user).await? {
            return Err(Error::PasswordUnfit("new_password", Unfit::TooShort));
        }
        // Links, then sessions, then the password, as in a reset: otherwise each could wait for what the other holds.
        store::mail::end_of_user(&tx, user, self.clock.now()).await?;
        self.end_other_sessions(&tx, caller, user).await?;
        // A reset that came meanwhile stands: who knows the password before it changes nothing any more.
        if !store::user::save_password(&tx, user, &tested, &hash, self.clock.now()).await? {
            return Err(Error::PasswordWrong);
        }
        if short {
            store::user::mark_short_password(&tx, user).await?;
        }
        self.notice(&tx, &record, Purpose::NoticePasswordChanged).await?;
        tx.audit(Record::done("password.changed").about(user.name()).of(home(caller)));
        tx.commit().await?;
        let tx = self.db.system("reset the counters of attempts", &quiet(context)).await?;
        self.reset_password_counters(&tx, user, &record.email).await?;
        self.reset_counter(&tx, counter).await?;
        Ok(tx.commit().await?)
    }

    async fn has_second_factor(&self, tx: &Tx, user: UserId) -> Result<bool, Error> {
        Ok(!self.ways(tx, user).await?.methods().is_empty())
    }

    /// Active members of an organization among these users, in the order asked.
    pub(crate) async fn read_users(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        users: &[UserId],
    ) -> Result<Vec<User>, Error> {
        let tx = self.db.tenant_as(organization, caller.context()).await?;
        let found = store::user::members(&tx, organization, users).await?;
        let found: HashMap<_, _> = found.into_iter().map(|user| (user.id, user)).collect();
        Ok(users.iter().filter_map(|user| found.get(user).cloned()).collect())
    }
}

/// A `self` method is about the caller himself. The authorizer has seen to it; this is the second wall.
pub(super) fn oneself(caller: &Caller, user: UserId) -> Result<(), Error> {
    if caller.user_required()? == user { Ok(()) } else { Err(api::Error::denied().into()) }
}

/// The log that tells of what a person does with his own account: that of the organization he has signed in to.
pub(super) fn home(caller: &Caller) -> OrganizationId {
    caller.organization().unwrap_or(OrganizationId::SYSTEM)
}

/// Names that a password must not be.
pub(super) fn names<'a>(organization: &'a str, display_name: &'a str, email: &'a str) -> [&'a str; 4] {
    [organization, display_name, email, email.split('@').next().unwrap_or_default()]
}

/// What a refused insert means.
pub(super) fn refused(error: db::Error, user: UserId) -> Error {
    if error.is_unique("users_email") {
        Error::EmailTaken
    } else if error.is_unique("users_pkey") {
        api::Error::already_exists(user.name()).into()
    } else {
        error.into()
    }
}
