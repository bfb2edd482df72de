//! The authorization endpoint as two pure steps: what was asked, and what is next.
//!
//! Until client and redirect URI are proven good, errors are for the page and never redirect. From then on they go to the client, where
//! somebody is signed in or the client is one for all. Consent is never skipped for clients that keep no secret, the platform's own
//! among them: whoever has their `client_id` could pretend to be them.
use api::{OrganizationId, UserId};
use time::{Duration, OffsetDateTime};

use super::{Challenge, Client, ClientKind, Scopes, client::BROWSER, pkce::is_opaque};

/// Longest `prompt`: all words that there are, and room for one twice.
const PROMPT_BYTES: usize = 64;

/// The parameters as sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters {
    /// Client.
    pub(crate) client_id: String,
    /// Where the answer goes.
    pub(crate) redirect_uri: String,
    /// `code`.
    pub(crate) response_type: String,
    /// `query` or empty.
    pub(crate) response_mode: String,
    /// Scopes.
    pub(crate) scope: String,
    /// The client's own.
    pub(crate) state: String,
    /// PKCE challenge.
    pub(crate) code_challenge: String,
    /// `S256`.
    pub(crate) code_challenge_method: String,
    /// For the ID token.
    pub(crate) nonce: String,
    /// How much the person is asked.
    pub(crate) prompt: String,
    /// Seconds since the last sign-in at most.
    pub(crate) max_age: String,
    /// Address to fill in.
    pub(crate) login_hint: String,
    /// A request as a JWT.
    pub(crate) request: String,
    /// ID token of the person whom the client expects.
    pub(crate) id_token_hint: String,
}

/// Whom a client expects, as its hint reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Whoever comes.
    Anybody,
    /// This person.
    Person(UserId),
    /// What it sent is no ID token of ours.
    Unreadable,
}

/// An error as RFC 6749 writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Code.
    pub(crate) error: &'static str,
    /// What to do about it.
    pub(crate) description: &'static str,
}

/// A shorthand.
pub(crate) fn problem(error: &'static str, description: &'static str) -> Problem {
    Problem { error, description }
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// To be shown; nobody is redirected.
    Page(Problem),
    /// To be told to the client.
    Redirect {
        /// Proven good.
        redirect_uri: String,
        /// The client's state.
        state: String,
        /// What is wrong.
        problem: Problem,
    },
}

/// How much the person is asked (OpenID Connect Core section 3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// Not at all.
    pub(crate) none: bool,
    /// To sign in again, whatever session there is; also for `select_account`.
    pub(crate) login: bool,
    /// For consent, whatever was given before.
    pub(crate) consent: bool,
}

impl Prompt {
    /// Reads the parameter.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > PROMPT_BYTES {
            return None;
        }
        let mut prompt = Self::default();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            match word {
                "none" => prompt.none = true,
                "login" | "select_account" => prompt.login = true,
                "consent" => prompt.consent = true,
                _ => return None,
            }
        }
        (!prompt.none || prompt == Self { none: true, ..Self::default() }).then_some(prompt)
    }
}

/// A request that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Client.
    pub(crate) client: String,
    /// Where the answer goes; registered.
    pub(crate) redirect_uri: String,
    /// PKCE.
    pub(crate) challenge: Challenge,
    /// The client's own.
    pub(crate) state: String,
    /// For the ID token.
    pub(crate) nonce: String,
    /// Scopes that the client may have.
    pub(crate) scopes: Scopes,
    /// The parameter `prompt` as sent; it can be parsed.
    pub(crate) prompt: String,
    /// Greatest age of the sign-in.
    pub(crate) max_age: Option<i64>,
    /// Address to fill in.
    pub(crate) login_hint: String,
    /// The person whom the client expects; nobody else gets a code.
    pub(crate) person: Option<UserId>,
}

impl Asked {
    /// Reads a request of a client, which is `None` when nobody has the id.
    ///
    /// # Errors
    /// A [`Flaw`].
    pub(crate) fn read(client: Option<&Client>, sent: Parameters, expected: Expected) -> Result<Self, Flaw> {
        let Some(client) = client.filter(|client| client.id != BROWSER) else {
            return Err(Flaw::Page(problem("invalid_client", "the application that sent you here is not registered")));
        };
        if client.kind == ClientKind::Machine || !client.allows(&sent.redirect_uri) {
            let text = "the application that sent you here named an address for the answer that is not registered";
            return Err(Flaw::Page(problem("invalid_request", text)));
        }
        let (redirect_uri, state) = (sent.redirect_uri.clone(), sent.state.clone());
        let known = is_opaque(&state);
        Self::complete(client, sent, expected).map_err(|problem| {
            let state = if known { state } else { String::new() };
            Flaw::Redirect { redirect_uri, state, problem }
        })
    }

    fn complete(client: &Client, sent: Parameters, expected: Expected) -> Result<Self, Problem> {
        let invalid = |description| Err(problem("invalid_request", description));
        if !is_opaque(&sent.state) || !is_opaque(&sent.nonce) {
            return invalid("state and nonce must be at most 512 printable ASCII characters");
        }
        if !sent.request.is_empty() {
            return Err(problem("request_not_supported", "send the parameters themselves, or push them (RFC 9126)"));
        }
        match sent.response_type.as_str() {
            "code" => {}
            "" => return invalid("response_type is missing; send code"),
            _ => return Err(problem("unsupported_response_type", "response_type must be code")),
        }
        if !["", "query"].contains(&sent.response_mode.as_str()) {
            return invalid("response_mode must be query");
        }
        let Ok(challenge) = Challenge::parse(&sent.code_challenge, &sent.code_challenge_method) else {
            return invalid("send code_challenge_method S256 and a code_challenge of 43 characters (RFC 7636)");
        };
        let Some(scopes) = client.grants(&sent.scope) else {
            return Err(problem("invalid_scope", "a scope is unknown, or the client may not ask for it"));
        };
        if Prompt::parse(&sent.prompt).is_none() {
            return invalid("prompt must be none, or any of login, consent, select_account");
        }
        let max_age = match sent.max_age.as_str() {
            "" => None,
            text if text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            _ => return invalid("max_age must be a number of seconds"),
        };
        let person = match expected {
            Expected::Anybody => None,
            Expected::Person(person) => Some(person),
            Expected::Unreadable => return invalid("id_token_hint must be an ID token that was given out here"),
        };
        let login_hint = Some(sent.login_hint).filter(|hint| hint.len() <= 254 && !hint.chars().any(char::is_control));
        Ok(Self {
            client: client.id.clone(),
            redirect_uri: sent.redirect_uri,
            challenge,
            state: sent.state,
            nonce: sent.nonce,
            scopes,
            prompt: sent.prompt,
            max_age,
            login_hint: login_hint.unwrap_or_default(),
            person,
        })
    }

    /// Parsed once more.
    pub(crate) fn prompt(&self) -> Prompt {
        Prompt::parse(&self.prompt).unwrap_or_default()
    }

    /// Sign-ins before this do not count.
    pub(crate) fn auth_after(&self, now: OffsetDateTime) -> OffsetDateTime {
        match (self.prompt().login, self.max_age) {
            (true, _) => now,
            (false, Some(seconds)) => now - Duration::seconds(seconds),
            (false, None) => OffsetDateTime::UNIX_EPOCH,
        }
    }
}

/// Who is signed in in the browser, as far as a request is concerned.
#[derive(Clone, Debug)]
pub(crate) struct SignedIn {
    /// When he proved to be himself.
    pub(crate) auth_time: OffsetDateTime,
    /// Tenant that the client would see; the outer `None` when he is no active member where the client belongs.
    pub(crate) organization: Option<Option<OrganizationId>>,
    /// What he allowed the client there before.
    pub(crate) consented: Option<Scopes>,
}

/// What is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// He must sign in, or sign in again.
    SignIn,
    /// He must decide.
    Consent,
    /// He gets a code for this tenant.
    Grant(Option<OrganizationId>),
    /// The client is told no.
    Refuse(Problem),
}

/// Decides what is next. `auth_after` was fixed when the request came.
pub(crate) fn next(client: &Client, asked: &Asked, standing: Option<&SignedIn>, auth_after: OffsetDateTime) -> Next {
    let prompt = asked.prompt();
    let ask = |next, error, description| if prompt.none { Next::Refuse(problem(error, description)) } else { next };
    let Some(standing) = standing.filter(|standing| standing.auth_time >= auth_after) else {
        return ask(Next::SignIn, "login_required", "nobody is signed in, or the sign-in is too old");
    };
    let Some(organization) = standing.organization else {
        return Next::Refuse(problem("access_denied", "the person signed in is no member where the client belongs"));
    };
    let remembered = standing.consented.as_ref().is_some_and(|given| asked.scopes.within(given));
    if remembered && !client.is_public() && !prompt.consent {
        return Next::Grant(organization);
    }
    ask(Next::Consent, "consent_required", "the person must be asked for consent")
}

#[cfg(test)]
mod tests;
