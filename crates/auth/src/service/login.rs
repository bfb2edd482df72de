//! Sign-in: flows from step to step, and the authorization code at the end.
//!
//! One answer for unknown, wrong, locked and empty, after equal work: an attempt is counted before it is looked at, an unknown user is
//! tested against a hash that nobody's password gives, a locked attempt waits as long as a test takes. Who has proven only a
//! first factor holds a flow handle and nothing else. The handle of a first factor is good for one answer: whoever mistypes begins
//! again.
use api::{CallContext, Caller, Id, OrganizationId, UserId};
use time::Duration;

use super::{Auth, lockout::quiet};
use crate::{
    credential::{Handle, Password, PasswordHash, digest},
    error::Error,
    metrics,
    model::{
        Challenge, Client, DeviceClass, Email, Membership, Origin, Proof, ProviderName, SecondFactor, State,
        redirect_with,
    },
    store::{
        self,
        login::{Code, Flow, Stage, StepUp},
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
    /// The person must prove anew who he is.
    pub(crate) again: bool,
}

/// A first factor: name and password.
pub(crate) struct FirstFactor {
    /// Address as typed.
    pub(crate) email: String,
    /// Password as typed.
    pub(crate) password: String,
    /// Mark of the device, if it has one.
    pub(crate) device: String,
}

/// What the flow waits for.
pub(crate) enum Step {
    /// Name and password.
    Password {
        /// Handle of the flow.
        flow: String,
        /// In a step-up, who must answer.
        email: String,
        /// What a passkey is asked; empty where there are none.
        passkey: String,
        /// Identity providers to choose from.
        providers: Vec<(ProviderName, String)>,
        /// Anybody may make an account instead.
        sign_up: bool,
    },
    /// The answer of an identity provider.
    Social {
        /// Handle of the flow.
        flow: String,
        /// Where the browser goes.
        uri: String,
    },
    /// A second factor.
    SecondFactor {
        /// Handle of the flow.
        flow: String,
        /// What the user has.
        methods: Vec<SecondFactor>,
        /// What a passkey is asked; empty without one.
        passkey: String,
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
        /// Mark for the device.
        device: String,
        /// Recovery codes left, when one was used.
        recovery_left: Option<i16>,
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
        self.first_step(context, new_flow(start, None)?, String::new()).await
    }

    /// Begins to prove again who the caller is; ends in a session that replaces his own.
    pub(crate) async fn start_step_up(&self, caller: &Caller, start: FlowStart) -> Result<Step, Error> {
        let user = caller.user_required()?;
        let session: Id =
            caller.session().and_then(|session| session.parse().ok()).ok_or_else(api::Error::credential_invalid)?;
        let context = caller.context();
        let email = self.user(caller, user).await?.email;
        let tx = self.db.subject(user, &quiet(context)).await?;
        let found = store::session::get(&tx, session, false).await?;
        drop(tx);
        let (session, _) = found.filter(|(session, _)| session.user == user).ok_or(Error::CredentialInvalid)?;
        let step_up = StepUp { session: session.id, user, organization: session.organization };
        self.first_step(context, new_flow(start, Some(step_up))?, email).await
    }

    /// Whom a passkey could belong to is not asked before it answers.
    async fn first_step(&self, context: &CallContext, mut flow: Flow, email: String) -> Result<Step, Error> {
        let mut passkey = String::new();
        if self.passkeys.available() {
            let ceremony = self.passkeys.start_any()?;
            passkey = ceremony.options;
            flow.ceremony = Some(ceremony.state);
        }
        let providers = self.offered(context, flow.again).await?;
        let sign_up = self.config.sign_up && flow.step_up.is_none();
        let flow = self.save_flow(context, &flow).await?;
        Ok(Step::Password { flow, email, passkey, providers, sign_up })
    }

    /// Tests name and password.
    pub(crate) async fn prove(&self, context: &CallContext, flow: &str, given: FirstFactor) -> Result<Step, Error> {
        let password = Password::present("password.password", &given.password)?;
        if given.email.len() > 1024 {
            return Err(
                api::Error::invalid_field("password.email", "is longer than 1,024 bytes, which no address is").into()
            );
        }
        let flow = self.take_flow(context, flow, Stage::First).await?;
        let known = self.find_user(context, &given.email).await?;
        let device = self.device_class(known.as_ref().map(|((user, _), _)| *user), &given.device);
        let counter = self.password_counter(&given.email, device);
        let expected = flow.step_up.as_ref().map(|step_up| step_up.user);
        let (user, hash) = known.unzip();
        let test = async {
            let right = self.hashes.test(password, hash).await?;
            Ok(user.filter(|(user, _)| right && expected.is_none_or(|expected| expected == *user)))
        };
        let (user, version) = self.attempt(context, counter, test).await?.ok_or(Error::SignInRefused)?;
        let proof = Proof { user, version, time: self.clock.now(), amr: vec!["pwd".to_owned()] };
        self.after_first(context, Flow { device, ..flow }, proof).await
    }

    /// Chooses the organization to sign in to.
    pub(crate) async fn choose_organization(
        &self,
        context: &CallContext,
        flow: &str,
        organization: OrganizationId,
    ) -> Result<Step, Error> {
        let flow = self.take_flow(context, flow, Stage::Organization).await?;
        let proof = flow.proven.clone().ok_or(Error::FlowInvalid)?;
        let tx = self.db.subject(proof.user, context).await?;
        if store::membership::active(&tx, proof.user, organization).await?.is_none() {
            return Err(Error::NoMembership);
        }
        drop(tx);
        self.finish(context, flow, proof, Some(organization)).await
    }

    /// Whoever has a second factor is asked for it, unless the first was two in one.
    pub(super) async fn after_first(&self, context: &CallContext, flow: Flow, proof: Proof) -> Result<Step, Error> {
        let tx = self.db.subject(proof.user, &quiet(context)).await?;
        let ways = self.ways(&tx, proof.user).await?;
        drop(tx);
        let methods = ways.methods();
        if methods.is_empty() || proof.amr.iter().any(|method| method == "mfa") {
            return self.after_proof(context, flow, proof).await;
        }
        let mut flow = Flow { stage: Stage::Second, proven: Some(proof), ceremony: None, ..flow };
        let mut passkey = String::new();
        if methods.contains(&SecondFactor::Passkey) {
            let ceremony = self.passkeys.start_one(&ways.credentials())?;
            passkey = ceremony.options;
            flow.ceremony = Some(ceremony.state);
        }
        let flow = self.save_flow(context, &flow).await?;
        Ok(Step::SecondFactor { flow, methods, passkey })
    }

    /// One organization, or none, needs no choice; a step-up stays where it was.
    pub(super) async fn after_proof(&self, context: &CallContext, flow: Flow, proof: Proof) -> Result<Step, Error> {
        if let Some(step_up) = &flow.step_up {
            let organization = step_up.organization;
            return self.finish(context, flow, proof, organization).await;
        }
        let memberships = self.active_memberships(context, proof.user).await?;
        if memberships.len() < 2 {
            let organization = memberships.first().map(|membership| membership.organization);
            return self.finish(context, flow, proof, organization).await;
        }
        let tx = self.db.system("names of the organizations to choose from", context).await?;
        let mut choices = Vec::with_capacity(memberships.len());
        for membership in &memberships {
            let found = store::organization::get(&tx, membership.organization).await?;
            choices.extend(found.map(|organization| (organization.id, organization.display_name)));
        }
        drop(tx);
        let flow = Flow { stage: Stage::Organization, proven: Some(proof), ceremony: None, ..flow };
        let flow = self.save_flow(context, &flow).await?;
        Ok(Step::Organization { flow, choices })
    }

    async fn active_memberships(&self, context: &CallContext, user: UserId) -> Result<Vec<Membership>, Error> {
        let tx = self.db.subject(user, context).await?;
        Ok(store::membership::to_choose(&tx, user, CHOICES).await?)
    }

    /// A code, unless what was proven has been voided meanwhile.
    async fn finish(
        &self,
        context: &CallContext,
        flow: Flow,
        proof: Proof,
        organization: Option<OrganizationId>,
    ) -> Result<Step, Error> {
        let (code, now) = (Handle::new(), self.clock.now());
        let Flow { client, redirect_uri, code_challenge, state, device, step_up, recovery_left, .. } = flow;
        let target = redirect_with(&redirect_uri, &code.text, &state, &self.issuer);
        let Proof { user, version, time: auth_time, amr } = proof;
        let replaces = step_up.map(|step_up| step_up.session);
        let scopes = Client::find(&client).map(|client| client.scopes.clone()).unwrap_or_default();
        let stored = Code {
            client,
            redirect_uri,
            code_challenge,
            user,
            version,
            organization,
            auth_time,
            amr,
            replaces,
            expire_time: now + CODE_LIFE,
            scopes,
            nonce: String::new(),
            parent: None,
            origin: Origin::of(context),
        };
        let tx = self.db.system("an authorization code", context).await?;
        if store::pending::version(&tx, user).await?.ok_or(Error::SignInRefused)? != version {
            return Err(Error::FlowInvalid);
        }
        let known = store::user::get(&tx, user).await?.ok_or(Error::SignInRefused)?;
        self.reset_counters(&tx, user, &known.email, device).await?;
        store::login::insert_code(&tx, &code.digest, &stored).await?;
        tx.commit().await?;
        metrics::sign_in("done");
        let device = self.devices.write(user, now);
        Ok(Step::Done { code: code.text, redirect_uri: target, device, recovery_left })
    }

    pub(super) async fn save_flow(&self, context: &CallContext, flow: &Flow) -> Result<String, Error> {
        let handle = Handle::new();
        let tx = self.db.system("a step of a sign-in", context).await?;
        store::login::insert_flow(&tx, &handle.digest, flow, self.clock.now() + FLOW_LIFE).await?;
        tx.commit().await?;
        Ok(handle.text)
    }

    pub(super) async fn take_flow(&self, context: &CallContext, handle: &str, stage: Stage) -> Result<Flow, Error> {
        let tx = self.db.system("the next step of a sign-in", &quiet(context)).await?;
        let flow = store::login::take_flow(&tx, &digest(handle), stage, self.clock.now()).await?;
        tx.commit().await?;
        flow.ok_or(Error::FlowInvalid)
    }

    /// What is no address is unknown, like an address that nobody has.
    async fn find_user(
        &self,
        context: &CallContext,
        email: &str,
    ) -> Result<Option<((UserId, i64), PasswordHash)>, Error> {
        let key = Email::parse(email).map(|email| email.key).unwrap_or_default();
        let tx = self.db.system("a user by e-mail address", context).await?;
        Ok(store::user::by_email(&tx, &key).await?)
    }

    pub(super) fn device_class(&self, user: Option<UserId>, mark: &str) -> DeviceClass {
        match user {
            Some(user) if self.devices.is_of(mark, user, self.clock.now()) => DeviceClass::Known,
            _ => DeviceClass::Unknown,
        }
    }
}

fn new_flow(start: FlowStart, step_up: Option<StepUp>) -> Result<Flow, Error> {
    let client = Client::find(&start.client).ok_or(Error::ClientInvalid)?;
    if !client.allows(&start.redirect_uri) {
        return Err(Error::ClientInvalid);
    }
    let Challenge(code_challenge) = Challenge::parse(&start.challenge, &start.method)?;
    let State(state) = State::parse(&start.state)?;
    Ok(Flow {
        client: client.id.to_owned(),
        redirect_uri: start.redirect_uri,
        code_challenge,
        state,
        stage: Stage::First,
        proven: None,
        device: DeviceClass::Unknown,
        again: start.again || step_up.is_some(),
        step_up,
        recovery_left: None,
        ceremony: None,
    })
}
