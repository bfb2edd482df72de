//! Invitations: sent by administrators, accepted by whoever reads the mailbox they were sent to.
//!
//! The role is read at acceptance, and it is never above what the inviter holds at that moment: an invitation of somebody who has
//! been put back gives nothing any more. A machine invites like a person, with the role that its registration has.
use api::{CallContext, Caller, Id, OrganizationId, UserId};
use db::{Record, Tx};

use super::{Auth, Change, Once, PageRequest, limit};
use crate::{
    credential::digest,
    error::Error,
    model::{
        Client, ClientKind, ClientName, Email, INVITATION_LIFE, Invitation, InvitationName, InvitationState,
        MailDelivery, Membership, OrganizationState, Purpose, Role,
    },
    store,
};

/// Most open invitations of an organization.
const INVITATIONS_MAX: i64 = 1000;

/// What whoever holds the token may know before he accepts.
pub(crate) struct Lookup {
    /// Name of the organization.
    pub(crate) organization: String,
    /// Name of who invites.
    pub(crate) inviter: String,
    /// The invitation.
    pub(crate) invitation: Invitation,
    /// There is an account with the address.
    pub(crate) account_exists: bool,
}

impl Auth {
    /// Invites an address.
    pub(crate) async fn create_invitation(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        email: Email,
        role: Option<Role>,
        once: &Once,
    ) -> Result<Invitation, Error> {
        Self::own(caller, organization)?;
        let now = self.clock.now();
        let tx = self.db.tenant(caller).await?;
        if let Some(first) = once.replay(&tx).await? {
            return Ok(first);
        }
        self.may_give(caller, &tx, role, &[]).await?;
        store::invitation::close_ended(&tx, organization, &email.key, now).await?;
        if store::invitation::count_open(&tx, organization, now).await? >= INVITATIONS_MAX {
            return Err(Error::InvitationLimit);
        }
        let invitation = Invitation {
            id: self.ids.next(),
            organization,
            email: email.text.clone(),
            role,
            inviter: caller.user_required()?,
            state: InvitationState::Open,
            create_time: now,
            expire_time: now + INVITATION_LIFE,
        };
        store::invitation::insert(&tx, &invitation, &email).await.map_err(|error| {
            let taken = error.is_unique("invitations_open");
            if taken {
                api::Error::already_exists("an open invitation of this address").into()
            } else {
                Error::from(error)
            }
        })?;
        self.mail_invitation(&tx, &invitation).await?;
        tx.audit(told("invitation.created", &invitation));
        once.remember(&tx, &invitation)?;
        tx.commit().await?;
        Ok(invitation)
    }

    async fn mail_invitation(&self, tx: &Tx, invitation: &Invitation) -> Result<(), Error> {
        let mail = MailDelivery {
            email: invitation.email.clone(),
            email_key: Email::key(&invitation.email),
            organization: Some(invitation.organization),
            invitation: Some(invitation.id),
            expire_time: invitation.expire_time,
            ..self.new_mail(Purpose::Invitation)
        };
        self.few_mails(tx, Purpose::Invitation, &mail.email_key).await?;
        store::mail::end_of_invitation(tx, invitation.id, self.clock.now()).await?;
        self.post(tx, &mail).await
    }

    /// An invitation.
    pub(crate) async fn invitation(&self, caller: &Caller, name: InvitationName) -> Result<Invitation, Error> {
        Self::own(caller, name.organization)?;
        let tx = self.db.tenant(caller).await?;
        let found = store::invitation::get(&tx, name.organization, name.invitation).await?;
        Ok(caller.permit(found, |_| None, name)?)
    }

    /// A page of invitations.
    pub(crate) async fn invitations(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        request: &PageRequest,
    ) -> Result<(Vec<Invitation>, String), Error> {
        Self::own(caller, organization)?;
        let binding = organization.name();
        let (after, size) = self.page(caller.context(), &binding, request)?;
        let tx = self.db.tenant(caller).await?;
        let rows = store::invitation::list(&tx, organization, after, limit(size)).await?;
        Ok(self.cut(caller.context(), &binding, rows, size, |invitation| invitation.id))
    }

    /// Takes an invitation back; its link is dead. One that is not open is fine, so that the call may be repeated.
    pub(crate) async fn revoke_invitation(&self, caller: &Caller, name: InvitationName) -> Result<(), Error> {
        let found = self.invitation(caller, name).await?;
        let tx = self.db.tenant(caller).await?;
        if store::invitation::close(&tx, &found, InvitationState::Revoked, self.clock.now()).await? {
            store::mail::end_of_invitation(&tx, found.id, self.clock.now()).await?;
            tx.audit(told("invitation.revoked", &found));
        }
        Ok(tx.commit().await?)
    }

    /// Sends the mail of an open invitation again, with a new link that is good for seven days.
    pub(crate) async fn resend_invitation(&self, caller: &Caller, name: InvitationName) -> Result<Invitation, Error> {
        let found = self.invitation(caller, name).await?;
        Role::at_most(found.role, Self::role(caller))?;
        if found.state != InvitationState::Open {
            return Err(Error::InvitationClosed);
        }
        let tx = self.db.tenant(caller).await?;
        let invitation = Invitation { expire_time: self.clock.now() + INVITATION_LIFE, ..found };
        store::invitation::extend(&tx, &invitation, invitation.expire_time).await?;
        self.mail_invitation(&tx, &invitation).await?;
        tx.audit(told("invitation.resent", &invitation));
        tx.commit().await?;
        Ok(invitation)
    }

    /// What whoever holds the token may know.
    pub(crate) async fn look_up_invitation(&self, context: &CallContext, token: &str) -> Result<Lookup, Error> {
        let tx = self.db.system("look at an invitation", context).await?;
        let mail = store::mail::find(&tx, &digest(token), &[Purpose::Invitation], self.clock.now()).await?;
        let mail = mail.ok_or(Error::MailTokenInvalid)?;
        let (organization, invitation) = mail.organization.zip(mail.invitation).ok_or(Error::MailTokenInvalid)?;
        let found = store::invitation::get(&tx, organization, invitation).await?;
        let invitation = found.ok_or(Error::MailTokenInvalid)?;
        let organization = store::organization::get(&tx, organization).await?.ok_or(Error::MailTokenInvalid)?;
        let inviter = inviter_name(&tx, &invitation).await?;
        let account_exists = store::user::find(&tx, &mail.email_key).await?.is_some();
        Ok(Lookup { organization: organization.display_name, inviter, invitation, account_exists })
    }

    /// Makes the caller a member. The token proves that he reads the mailbox; his account must have that address.
    pub(crate) async fn accept_invitation(&self, caller: &Caller, token: &str) -> Result<Membership, Error> {
        let user = caller.user_required()?;
        let tx = self.change(self.db.system("accept an invitation", caller.context()).await?);
        let session = caller.session().and_then(|session| session.parse().ok());
        let membership = self.join(&tx, user, &digest(token), session).await?;
        tx.commit().await?;
        Ok(membership)
    }

    /// Uses an invitation up for a user, who is signed in here if there is a session; system transactions only.
    pub(super) async fn join(
        &self,
        tx: &Change<'_>,
        user: UserId,
        secret: &[u8],
        session: Option<Id>,
    ) -> Result<Membership, Error> {
        let now = self.clock.now();
        let mail = store::mail::consume(tx, secret, &[Purpose::Invitation], now).await?;
        let mail = mail.ok_or(Error::MailTokenInvalid)?;
        let (organization, id) = mail.organization.zip(mail.invitation).ok_or(Error::MailTokenInvalid)?;
        let account = store::user::get(tx, user).await?.ok_or(Error::MailTokenInvalid)?;
        if Email::key(&account.email) != mail.email_key {
            return Err(Error::InvitationForeign);
        }
        store::organization::lock(tx, organization).await?;
        let invitation = store::invitation::get(tx, organization, id).await?.ok_or(Error::MailTokenInvalid)?;
        let held = inviter_role(tx, &invitation).await?.ok_or(Error::MailTokenInvalid)?;
        Role::at_most(invitation.role, held)?;
        if !store::invitation::close(tx, &invitation, InvitationState::Accepted, now).await? {
            return Err(Error::MailTokenInvalid);
        }
        self.prove_address(tx, user, &mail.email_key, session).await?;
        tx.audit(told("invitation.accepted", &invitation).by(user.name()).of(organization));
        self.add_member(tx, organization, user, invitation.role).await
    }
}

/// The role that the inviter holds at the moment, if any; `None` when he belongs to the organization no more, or it is not in force.
async fn inviter_role(tx: &Tx, invitation: &Invitation) -> Result<Option<Option<Role>>, Error> {
    if let Some(member) = store::membership::active(tx, invitation.inviter, invitation.organization).await? {
        return Ok(Some(member.role));
    }
    let organization = store::organization::get(tx, invitation.organization).await?;
    let in_force = organization.is_some_and(|found| found.state == OrganizationState::Active);
    Ok(machine(tx, invitation).await?.filter(|_| in_force).map(|machine| machine.role))
}

/// Who invites, in words.
pub(super) async fn inviter_name(tx: &Tx, invitation: &Invitation) -> Result<String, Error> {
    if let Some(user) = store::user::get(tx, invitation.inviter).await? {
        return Ok(user.display_name);
    }
    Ok(machine(tx, invitation).await?.map(|machine| machine.display_name).unwrap_or_default())
}

/// The machine that invites, if it is one and still registered.
async fn machine(tx: &Tx, invitation: &Invitation) -> Result<Option<Client>, Error> {
    let name = ClientName { organization: invitation.organization, client: invitation.inviter.0 };
    Ok(store::client::get(tx, name, false).await?.filter(|found| found.kind == ClientKind::Machine))
}

/// What the audit log keeps of an invitation.
fn told(action: &str, invitation: &Invitation) -> Record {
    Record::done(action)
        .about(invitation.name())
        .with("email", &invitation.email)
        .with("role", invitation.role.map_or("none", Role::text))
}
