//! Users: made by administrators, read by themselves and by workloads; passwords.
use std::collections::HashMap;

use api::{Caller, Id, OrganizationId, UserId};

use super::{Auth, Once, PageRequest, limit};
use crate::{
    credential::Password,
    error::Error,
    events,
    model::{DisplayName, Email, Membership, RevocationKind, Role, User},
    store::{self, revocation::Owner},
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
        Role::at_most(new.role, Self::role(caller))?;
        let name = self.organization(caller, organization).await?.display_name;
        let password =
            Password::choose("password", &new.password, &names(&name, &new.display_name.0, &new.email.text))?;
        let hash = self.hashes.make(password).await?;
        let now = self.clock.now();
        let tx = self.db.tenant(caller).await?;
        if let Some(first) = once.replay(&tx).await? {
            return Ok(first);
        }
        let user = User {
            id: new.id.unwrap_or_else(|| self.ids.next().into()),
            email: new.email.text.clone(),
            display_name: new.display_name.0,
            managing_organization: organization,
            create_time: now,
            update_time: now,
        };
        store::user::insert(&tx, &user, &new.email).await.map_err(|error| refused(error, user.id))?;
        self.add_member(&tx, organization, user.id, new.role).await?;
        store::user::insert_password(&tx, user.id, &hash, now).await?;
        events::user_created(&tx, &user)?;
        once.remember(&tx, &user)?;
        tx.commit().await?;
        Ok(user)
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

    /// Changes the caller's password; all other sessions end. The wrong current password counts like a wrong sign-in.
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
        let hash = store::user::password(&self.db.subject(user, context).await?, user).await?;
        let identifier = self.identifier(&record.email);
        if !self.attempt(context, &identifier, current, hash).await? {
            return Err(Error::PasswordWrong);
        }
        let password = Password::choose("new_password", new, &names("", &record.display_name, &record.email))?;
        let hash = self.hashes.make(password).await?;
        let tx = self.change(self.db.subject(user, context).await?);
        store::user::save_password(&tx, user, &hash, self.clock.now()).await?;
        store::session::delete_pending(&tx, user).await?;
        let kept = caller.session().and_then(|session| session.parse::<Id>().ok()).unwrap_or(Id::ZERO);
        for session in store::session::delete_others(&tx, user, kept).await? {
            self.revoke(&tx, RevocationKind::Session(session), Owner { user: Some(user), organization: None }, false)
                .await?;
        }
        tx.commit().await?;
        self.clear(context, &identifier).await
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
