//! Sessions, and what tells one device of a person from another.
//!
//! What a program calls itself is written by whoever runs it: it is shown to its own user, bounded and without anything that could be read
//! as more than text, and nothing is decided by it.
use api::{CallContext, Id, OrganizationId, UserId};
use time::OffsetDateTime;

use super::{Impersonation, Scopes};

/// Characters of the name of a program that is not known.
const PROGRAM_MAX: usize = 40;

/// Programs by what they put into their `User-Agent`, those first that call themselves others too.
const PROGRAMS: [(&str, &str); 11] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// The same of systems.
const SYSTEMS: [(&str, &str); 8] = [
    ("Windows", "Windows"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Darwin", "macOS"),
    ("Linux", "Linux"),
];

api::resource_name!(
    /// Name of a session.
    pub(crate) struct SessionName { user: UserId, session: Id } = "users/*/sessions/*"
);

/// Where somebody signed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Network address as the edge saw it; empty where none was seen.
    pub(crate) network: String,
    /// What the program calls itself; at most 256 characters.
    pub(crate) user_agent: String,
}

impl Origin {
    /// Where a call comes from.
    pub(crate) fn of(context: &CallContext) -> Self {
        Self { network: context.network.clone(), user_agent: context.user_agent.clone() }
    }

    /// The device as a person knows it, `Firefox on Linux`; empty where nothing is known. Letters, digits, blanks and `.-_` alone.
    pub(crate) fn device(&self) -> String {
        let of = |known: &[(&str, &'static str)]| {
            known.iter().find(|(mark, _)| self.user_agent.contains(mark)).map(|(_, name)| *name)
        };
        let program = of(&PROGRAMS).map_or_else(|| self.first_product(), str::to_owned);
        match of(&SYSTEMS) {
            Some(system) if program.is_empty() => system.to_owned(),
            Some(system) => format!("{program} on {system}"),
            None => program,
        }
    }

    /// The first product (RFC 9110 section 10.1.5) without its version: `curl/8.5.0` is curl.
    fn first_product(&self) -> String {
        let first = self.user_agent.split(['/', ' ', '(']).next().unwrap_or_default();
        let fit = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
        first.chars().filter(fit).take(PROGRAM_MAX).collect()
    }
}

/// One sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// Id.
    pub(crate) id: Id,
    /// Who signed in.
    pub(crate) user: UserId,
    /// Tenant chosen at sign-in; none for a user without a membership.
    pub(crate) organization: Option<OrganizationId>,
    /// Client signed in with.
    pub(crate) client: String,
    /// When its user proved to be himself.
    pub(crate) auth_time: OffsetDateTime,
    /// How he proved it (RFC 8176).
    pub(crate) amr: Vec<String>,
    /// When it began.
    pub(crate) create_time: OffsetDateTime,
    /// When it was last refreshed.
    pub(crate) last_use_time: OffsetDateTime,
    /// Absolute end.
    pub(crate) expire_time: OffsetDateTime,
    /// Scopes granted.
    pub(crate) scopes: Scopes,
    /// The browser session that it was begun from.
    pub(crate) parent: Option<Id>,
    /// Where it began.
    pub(crate) origin: Origin,
    /// Network address that it was last used from; empty where none was seen.
    pub(crate) last_network: String,
    /// It is somebody else who acts as the user in it.
    pub(crate) impersonation: Option<Impersonation>,
}

impl Session {
    /// Goes on beyond its first access token: a refresh token comes with that.
    pub(crate) fn is_lasting(&self) -> bool {
        self.impersonation.is_none() && self.scopes.are_lasting()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(user_agent: &str) -> String {
        Origin { user_agent: user_agent.to_owned(), ..Origin::default() }.device()
    }

    #[test]
    fn devices_are_called_as_people_know_them() {
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        for (user_agent, expected) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0".to_owned(), "Firefox on Linux"),
            (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/131.0.0.0 Safari/537.36"), "Chrome on Windows"),
            (
                format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0"),
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 \
                 Mobile/15E148 Safari/604.1"
                    .to_owned(),
                "Safari on iPhone",
            ),
            (format!("Mozilla/5.0 (Linux; Android 10; K) {webkit} Chrome/131.0.0.0 Mobile Safari/537.36"), "Chrome on Android"),
            ("curl/8.5.0".to_owned(), "curl"),
            ("workos-cli/1.0 (Linux)".to_owned(), "workos-cli on Linux"),
            (String::new(), ""),
        ] {
            assert_eq!(device(&user_agent), expected, "{user_agent}");
        }
    }

    #[test]
    fn a_name_that_nobody_knows_is_short_and_plain() {
        assert_eq!(device("<script>alert(1)</script>"), "scriptalert");
        assert_eq!(device(&"x".repeat(256)).len(), PROGRAM_MAX);
        assert_eq!(device("=cmd|calc"), "cmdcalc");
    }
}
