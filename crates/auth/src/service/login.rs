//! Sign-in: flows from step to step, lockout, and the authorization code at the end.
//!
//! One answer for unknown, wrong, locked and empty, after equal work: an attempt is counted before it is looked at, an unknown user is
//! tested against a hash that nobody's password gives, a locked attempt waits as long as a test takes. A flow handle is good for
//! one answer: whoever mistypes begins again.
use api::{CallContext, OrganizationId, UserId};
use time::{Duration, OffsetDateTime};

use super::Auth;
use crate::{
    credential::{Handle, Password, PasswordHash, digest, hmac},
    error::Error,
    metrics,
    model::{Challenge, Client, Email, LOCKOUT_FREE, Membership, MembershipState, State, lockout_delay, redirect_with},
    store::{
        self,
        login::{Code, Flow},
    },
};

/// Life of a flow handle.
const FLOW_LIFE: Duration = Duration::minutes(5);
/// Life of an authorization code.
const CODE_LIFE: Duration = Duration::seconds(60);
/// Organizations offered to choose from.
const CHOICES: i64 = 1000;

/// What a sign-in begins with.
pub(crate) struct FlowStart {
    /// Client id as sent.
    pub(crate) client: String,
    /// Redirect URI as sent.
    pub(crate) redirect_uri: String,
    /// PKCE challenge as sent.
    pub(crate) challenge: String,
    /// PKCE method as sent.
    pub(crate) method: String,
    /// State as sent.
    pub(crate) state: String,
}

/// What the flow waits for.
pub(crate) enum Step {
    /// Name and password.
    Password {
        /// Handle of the flow.
        flow: String,
    },
    /// One of several organizations.
    Organization {
        /// Handle of the flow.
        flow: String,
        /// Id and display name of each.
        choices: Vec<(OrganizationId, String)>,
    },
    /// Nothing: here is the code.
    Done {
        /// The code.
        code: String,
        /// The client's redirect URI with code, state and issuer.
        redirect_uri: String,
    },
}

impl Step {
    /// Time left to answer.
    pub(crate) fn life(&self) -> Duration {
        if matches!(self, Self::Done { .. }) { CODE_LIFE } else { FLOW_LIFE }
    }
}

impl Auth {
    /// Begins a sign-in. Client and redirect URI are tested before everything else.
    pub(crate) async fn start_login(&self, context: &CallContext, start: FlowStart) -> Result<Step, Error> {
        let client = Client::find(&start.client).ok_or(Error::ClientInvalid)?;
        if !client.allows(&start.redirect_uri) {
            return Err(Error::ClientInvalid);
        }
        let Challenge(code_challenge) = Challenge::parse(&start.challenge, &start.method)?;
        let State(state) = State::parse(&start.state)?;
        let flow = Flow {
            client: client.id.to_owned(),
            redirect_uri: start.redirect_uri,
            code_challenge,
            state,
            proven: None,
        };
        let flow = self.save_flow(context, &flow).await?;
        Ok(Step::Password { flow })
    }

    /// Tests name and password.
    pub(crate) async fn prove(
        &self,
        context: &CallContext,
        flow: &str,
        email: &str,
        password: &str,
    ) -> Result<Step, Error> {
        let password = Password::present("password.password", password)?;
        if email.len() > 1024 {
            return Err(
                api::Error::invalid_field("password.email", "is longer than 1,024 bytes, which no address is").into()
            );
        }
        let flow = self.take_flow(context, flow, false).await?;
        let known = self.find_user(context, email).await?;
        let identifier = self.identifier(email);
        let (user, hash) = known.unzip();
        let right = self.attempt(context, &identifier, password, hash).await?;
        let Some(user) = user.filter(|_| right) else { return Err(Error::SignInRefused) };
        self.clear(context, &identifier).await?;
        self.after_proof(context, flow, user).await
    }

    /// Chooses the organization to sign in to.
    pub(crate) async fn choose_organization(
        &self,
        context: &CallContext,
        flow: &str,
        organization: OrganizationId,
    ) -> Result<Step, Error> {
        let flow = self.take_flow(context, flow, true).await?;
        let (user, auth_time) = flow.proven.ok_or(Error::FlowInvalid)?;
        let tx = self.db.subject(user, context).await?;
        if store::membership::active(&tx, user, organization).await?.is_none() {
            return Err(Error::NoMembership);
        }
        self.finish(context, flow, (user, auth_time), Some(organization)).await
    }

    /// One organization, or none, needs no choice.
    async fn after_proof(&self, context: &CallContext, flow: Flow, user: UserId) -> Result<Step, Error> {
        let now = self.clock.now();
        let memberships = self.active_memberships(context, user).await?;
        if memberships.len() < 2 {
            let organization = memberships.first().map(|membership| membership.organization);
            return self.finish(context, flow, (user, now), organization).await;
        }
        let tx = self.db.system("names of the organizations to choose from", context).await?;
        let mut choices = Vec::with_capacity(memberships.len());
        for membership in &memberships {
            let found = store::organization::get(&tx, membership.organization).await?;
            choices.extend(found.map(|organization| (organization.id, organization.display_name)));
        }
        drop(tx);
        let flow = self.save_flow(context, &Flow { proven: Some((user, now)), ..flow }).await?;
        Ok(Step::Organization { flow, choices })
    }

    async fn active_memberships(&self, context: &CallContext, user: UserId) -> Result<Vec<Membership>, Error> {
        let tx = self.db.subject(user, context).await?;
        let mut memberships = store::membership::list_of_user(&tx, user, api::Id::ZERO, CHOICES).await?;
        memberships.retain(|membership| membership.state == MembershipState::Active);
        Ok(memberships)
    }

    async fn finish(
        &self,
        context: &CallContext,
        flow: Flow,
        (user, auth_time): (UserId, OffsetDateTime),
        organization: Option<OrganizationId>,
    ) -> Result<Step, Error> {
        let code = Handle::new();
        let Flow { client, redirect_uri, code_challenge, state, .. } = flow;
        let target = redirect_with(&redirect_uri, &code.text, &state, &self.issuer);
        let expire_time = self.clock.now() + CODE_LIFE;
        let stored = Code { client, redirect_uri, code_challenge, user, organization, auth_time, expire_time };
        let tx = self.db.system("an authorization code", context).await?;
        store::login::insert_code(&tx, &code.digest, &stored).await?;
        tx.commit().await?;
        metrics::sign_in("done");
        Ok(Step::Done { code: code.text, redirect_uri: target })
    }

    async fn save_flow(&self, context: &CallContext, flow: &Flow) -> Result<String, Error> {
        let handle = Handle::new();
        let tx = self.db.system("a step of a sign-in", context).await?;
        store::login::insert_flow(&tx, &handle.digest, flow, self.clock.now() + FLOW_LIFE).await?;
        tx.commit().await?;
        Ok(handle.text)
    }

    async fn take_flow(&self, context: &CallContext, handle: &str, proven: bool) -> Result<Flow, Error> {
        let tx = self.db.system("the next step of a sign-in", &quiet(context)).await?;
        let flow = store::login::take_flow(&tx, &digest(handle), proven, self.clock.now()).await?;
        tx.commit().await?;
        flow.ok_or(Error::FlowInvalid)
    }

    /// What is no address is unknown, like an address that nobody has.
    async fn find_user(&self, context: &CallContext, email: &str) -> Result<Option<(UserId, PasswordHash)>, Error> {
        let key = Email::parse(email).map(|email| email.key).unwrap_or_default();
        let tx = self.db.system("a user by e-mail address", context).await?;
        Ok(store::user::by_email(&tx, &key).await?)
    }

    /// Key of an identifier's counter; equal for all spellings of one address.
    pub(super) fn identifier(&self, email: &str) -> [u8; 32] {
        hmac(&self.identifiers, &[b"password", Email::key(email).as_bytes()])
    }

    /// Tests a password behind the lockout. False for wrong, unknown and locked.
    pub(super) async fn attempt(
        &self,
        context: &CallContext,
        identifier: &[u8; 32],
        password: Password,
        hash: Option<PasswordHash>,
    ) -> Result<bool, Error> {
        let delays: Vec<f64> =
            (0..=LOCKOUT_FREE + 8).map(|failures| lockout_delay(failures).as_seconds_f64()).collect();
        let tx = self.db.system("count an attempt to sign in", &quiet(context)).await?;
        let counted = store::login::count_attempt(&tx, identifier, &delays, self.clock.now()).await?;
        tx.commit().await?;
        if counted.is_none() {
            self.hashes.idle().await;
            metrics::sign_in("locked");
            return Ok(false);
        }
        let tested = self.hashes.test(password, hash).await;
        match &tested {
            Ok(true) => {}
            Ok(false) => metrics::sign_in("refused"),
            Err(_) => self.forgive(context, identifier).await?,
        }
        tested
    }

    /// An attempt that was never looked at does not count.
    async fn forgive(&self, context: &CallContext, identifier: &[u8; 32]) -> Result<(), Error> {
        let tx = self.db.system("take an attempt back that was not looked at", &quiet(context)).await?;
        store::login::forgive_attempt(&tx, identifier, self.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// The password was right: its counter begins anew.
    pub(super) async fn clear(&self, context: &CallContext, identifier: &[u8; 32]) -> Result<(), Error> {
        let tx = self.db.system("reset the counter of attempts", &quiet(context)).await?;
        store::login::clear_attempts(&tx, identifier).await?;
        Ok(tx.commit().await?)
    }
}

/// Context of a transaction that is no change of its own: the call's audit row is written with its outcome, once.
fn quiet(context: &CallContext) -> CallContext {
    CallContext { audit: false, ..context.clone() }
}
