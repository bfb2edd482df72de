//! Device authorization (RFC 8628): a device without a browser asks, a person lets it in from another one.
//!
//! User codes are short, so wrong ones are counted before they are looked at, for the session and for the network that typed them.
//! Nothing is let in but by a decision of its own: looking a code up changes nothing.
use api::{CallContext, OrganizationId};
use db::Record;
use rand::Rng;
use time::Duration;

use super::{
    Auth,
    authorize::Shown,
    client::Presented,
    lockout::quiet,
    oauth::{Answer, GRANT, SCOPE, refuse},
};
use crate::{
    credential::{Handle, digest, hmac},
    error::Error,
    metrics,
    model::{
        Client, ClientKind, DEVICE_LIFE, DeviceState, Origin, POLL_INTERVAL, Poll, Problem, Scopes, Session, UserCode,
        WRONG_CODES, WRONG_CODES_FOR, poll, problem,
    },
    store::{
        self,
        device::{Device, Granted},
        login::Code,
    },
};

/// How often a user code that is taken is drawn again: of 25 billion, few are in use.
const DRAWS: usize = 8;

/// The two codes of a device.
pub(crate) struct Codes {
    /// For the device.
    pub(crate) device: String,
    /// For the person.
    pub(crate) user: String,
    /// How long both are good.
    pub(crate) life: Duration,
    /// Least time between two polls.
    pub(crate) interval: Duration,
}

/// A device that waits, for the page.
pub(crate) struct DeviceAnswer {
    /// The client.
    pub(crate) client: Shown,
    /// Scopes asked for.
    pub(crate) scopes: Scopes,
    /// The code as it is shown.
    pub(crate) user_code: String,
    /// Who is signed in.
    pub(crate) email: String,
    /// Name of the tenant.
    pub(crate) organization: String,
}

impl Auth {
    /// Gives a device its codes.
    pub(crate) async fn authorize_device(
        &self,
        context: &CallContext,
        presented: &Presented,
        scope: &str,
    ) -> Result<Result<Codes, Problem>, Error> {
        let client = match self.authenticate(context, presented).await? {
            Ok(client) => client,
            Err(problem) => return Ok(Err(problem)),
        };
        if client.kind != ClientKind::Native {
            return Ok(Err(problem("unauthorized_client", "only a NATIVE client runs on devices")));
        }
        let Some(scopes) = client.grants(scope) else { return Ok(Err(SCOPE)) };
        let device = Device {
            client: client.id,
            scopes,
            state: DeviceState::Waits,
            granted: None,
            interval: POLL_INTERVAL,
            poll_time: None,
            expire_time: self.clock.now() + DEVICE_LIFE,
        };
        let handle = Handle::new();
        for _ in 0..DRAWS {
            let Some(code) = drawn() else { continue };
            let tx = self.db.system("a device that asks to be let in", &quiet(context)).await?;
            match store::device::insert(&tx, &handle.digest, &self.user_digest(&code), &device).await {
                Err(error) if error.is_unique("device_codes_user") => continue,
                inserted => inserted?,
            }
            tx.commit().await?;
            let interval = Duration::seconds(POLL_INTERVAL.into());
            return Ok(Ok(Codes { device: handle.text, user: code.shown(), life: DEVICE_LIFE, interval }));
        }
        Err(Error::fault("no user code is free"))
    }

    /// Answers a poll of a device.
    pub(super) async fn poll(&self, context: &CallContext, client: &Client, code: &str) -> Result<Answer, Error> {
        let (digest, now) = (digest(code), self.clock.now());
        let tx = self.change(self.db.system("answer a device", context).await?);
        let found = store::device::lock(&tx, &digest).await?;
        let Some(device) = found.filter(|device| device.client == client.id) else { return Ok(Err(GRANT)) };
        let told = match poll(device.state, device.interval, device.poll_time, device.expire_time, now) {
            Poll::Grant => return Box::pin(self.let_in(tx, client, (&digest, device))).await,
            Poll::Pending => {
                store::device::polled(&tx, &digest, device.interval, now).await?;
                problem("authorization_pending", "nobody has decided yet; ask again after the interval")
            }
            Poll::SlowDown(interval) => {
                store::device::polled(&tx, &digest, interval, now).await?;
                problem("slow_down", "the interval is five seconds longer from now on")
            }
            Poll::Denied => {
                store::device::delete(&tx, &digest).await?;
                problem("access_denied", "the person said no")
            }
            Poll::Expired => problem("expired_token", "the code has expired; begin anew"),
        };
        tx.commit().await?;
        Ok(Err(told))
    }

    async fn let_in(
        &self,
        tx: super::Change<'_>,
        client: &Client,
        (digest, device): (&[u8], Device),
    ) -> Result<Answer, Error> {
        store::device::delete(&tx, digest).await?;
        let Some(granted) = device.granted else { return refuse(tx, "device").await };
        let code = Code {
            client: device.client,
            redirect_uri: String::new(),
            code_challenge: String::new(),
            user: granted.user,
            version: granted.version,
            organization: granted.organization,
            auth_time: granted.auth_time,
            amr: granted.amr,
            replaces: None,
            expire_time: device.expire_time,
            scopes: device.scopes,
            nonce: String::new(),
            parent: granted.parent,
            origin: Origin::of(tx.context()),
        };
        let in_force = store::pending::in_force(&tx, code.user, code.organization).await?;
        let Some(role) = self.standing(&tx, &code, in_force).await? else { return refuse(tx, "device").await };
        // What is inside outlives the browser that let it in.
        let code = Code { parent: None, ..code };
        let session = self.session_for(&code, self.ids.next());
        let issued = self.issue(&tx, client, &session, (role, 0), &session.scopes);
        let ((), mut tokens) = futures::try_join!(self.begin_session(&tx, &code, &session), issued)?;
        tokens.id = self.id_token(client, &session, "", &tokens.access)?;
        tx.commit().await?;
        Ok(Ok(tokens))
    }

    /// Looks a user code up.
    pub(crate) async fn find_device(
        &self,
        context: &CallContext,
        typed: &str,
        (session, network): (&str, &str),
    ) -> Result<DeviceAnswer, Error> {
        let session = self.browser_session(context, session).await?.ok_or(Error::CredentialInvalid)?;
        let (code, device) = self.waiting_device(context, typed, (&session, network)).await?;
        let client = self.client(context, &device.client).await?.ok_or(Error::UserCodeInvalid)?;
        let standing = self.standing_of(context, &client, &session).await?;
        let organization = standing.organization.ok_or(Error::NoMembership)?;
        let (email, organization) = self.shown(context, session.user, organization).await?;
        let client = Shown { display_name: client.display_name, redirect_origin: String::new() };
        Ok(DeviceAnswer { client, scopes: device.scopes, user_code: code.shown(), email, organization })
    }

    /// Lets a device in, or not.
    pub(crate) async fn decide_device(
        &self,
        context: &CallContext,
        typed: &str,
        (session, network): (&str, &str),
        approve: bool,
    ) -> Result<(), Error> {
        let session = self.browser_session(context, session).await?.ok_or(Error::CredentialInvalid)?;
        let (code, device) = self.waiting_device(context, typed, (&session, network)).await?;
        let client = self.client(context, &device.client).await?.ok_or(Error::UserCodeInvalid)?;
        let standing = self.standing_of(context, &client, &session).await?;
        let organization = standing.organization.ok_or(Error::NoMembership)?;
        let tx = self.db.system("decide about a device", context).await?;
        let digest = self.user_digest(&code);
        let found = store::device::waiting(&tx, &digest, self.clock.now()).await?;
        let device = found.ok_or(Error::UserCodeInvalid)?;
        let Session { id, user, auth_time, amr, .. } = session;
        let version = store::pending::version(&tx, user).await?.ok_or(Error::CredentialInvalid)?;
        let state = if approve { DeviceState::Approved } else { DeviceState::Denied };
        if approve {
            let consent = self.consent_to(client.id, user, organization, device.scopes.clone());
            self.save_consent(&tx, &consent).await?;
        }
        if !store::session::stays(&tx, id).await? {
            return Err(Error::CredentialInvalid);
        }
        let granted = approve.then_some(Granted { user, version, organization, auth_time, amr, parent: Some(id) });
        let action = if approve { "device.approved" } else { "device.denied" };
        let record = Record::done(action).by(user.name()).with("client", &device.client);
        tx.audit(record.of(organization.unwrap_or(OrganizationId::SYSTEM)));
        store::device::decide(&tx, &digest, &Device { state, granted, ..device }).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The device behind a code that a person typed. Malformed, unknown, expired and too many are one answer.
    async fn waiting_device(
        &self,
        context: &CallContext,
        typed: &str,
        (session, network): (&Session, &str),
    ) -> Result<(UserCode, Device), Error> {
        let now = self.clock.now();
        let typists = [self.typist(b"session", &session.id.to_string()), self.typist(b"network", network)];
        let tx = self.db.system("a device by its user code", &quiet(context)).await?;
        if !store::device::count(&tx, &typists, WRONG_CODES, now, now + WRONG_CODES_FOR).await? {
            metrics::grant_refused("device_locked");
            return Err(Error::UserCodeInvalid);
        }
        let found = match UserCode::parse(typed) {
            Some(code) => {
                store::device::waiting(&tx, &self.user_digest(&code), now).await?.map(|device| (code, device))
            }
            None => None,
        };
        if found.is_some() {
            store::device::forgive(&tx, &typists).await?;
        }
        tx.commit().await?;
        found.ok_or(Error::UserCodeInvalid)
    }

    fn user_digest(&self, code: &UserCode) -> Vec<u8> {
        hmac(&self.identifiers, &[b"device code", code.bare().as_bytes()]).to_vec()
    }

    fn typist(&self, kind: &[u8], text: &str) -> Vec<u8> {
        hmac(&self.identifiers, &[b"device typist", kind, text.as_bytes()]).to_vec()
    }
}

/// A random user code; most draws give one.
fn drawn() -> Option<UserCode> {
    (0..64).find_map(|_| {
        let mut bytes = [0u8; 8];
        rand::rng().fill_bytes(&mut bytes);
        UserCode::of_random(&bytes)
    })
}
