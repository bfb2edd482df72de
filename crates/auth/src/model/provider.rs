//! Identity providers as data: an OpenID Connect issuer, or an OAuth 2.0 service with endpoints and paths into its answers.
use api::{Id, OrganizationId, UserId};
use time::OffsetDateTime;

use crate::error::Error;

/// Providers of one organization.
pub(crate) const PROVIDERS_MAX: usize = 20;
const LIST_MAX: usize = 10;

api::resource_name!(
    /// Name of an identity provider.
    pub(crate) struct ProviderName { organization: OrganizationId, provider: Id } = "organizations/*/identityProviders/*"
);
api::resource_name!(
    /// Name of a linked upstream account.
    pub(crate) struct IdentityName { user: UserId, identity: Id } = "users/*/identities/*"
);

/// How a provider speaks; the numbers are those of the contract and of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// OpenID Connect: endpoints by discovery, identity by ID token.
    Oidc = 1,
    /// OAuth 2.0: endpoints by configuration, identity by asking.
    OAuth = 2,
}

impl Protocol {
    /// The protocol with this number.
    pub(crate) fn of_number(number: i32) -> Option<Self> {
        [Self::Oidc, Self::OAuth].into_iter().find(|protocol| *protocol as i32 == number)
    }
}

/// Where an OAuth 2.0 service answers, and where in its answers the identity stands (RFC 6901).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plain {
    /// Where browsers go.
    pub(crate) authorization_endpoint: String,
    /// Where codes are exchanged.
    pub(crate) token_endpoint: String,
    /// Who the person is.
    pub(crate) userinfo_endpoint: String,
    /// Where the addresses are, if elsewhere: an object, or a list whose primary entry counts.
    pub(crate) email_endpoint: String,
    /// Path of the subject.
    pub(crate) subject_path: String,
    /// Path of the address.
    pub(crate) email_path: String,
    /// Path of the flag that the address was verified.
    pub(crate) email_verified_path: String,
}

/// A provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Provider {
    /// Its name; those of the operators' organization are for everybody.
    pub(crate) name: ProviderName,
    /// Name on the button.
    pub(crate) display_name: String,
    /// How it speaks.
    pub(crate) protocol: Protocol,
    /// Issuer: identities are pairs of it and a subject.
    pub(crate) issuer: String,
    /// Our id there.
    pub(crate) client_id: String,
    /// Scopes asked for.
    pub(crate) scopes: Vec<String>,
    /// Hosts that may be asked beside the issuer's and those of the endpoints here.
    pub(crate) hosts: Vec<String>,
    /// Of an OAuth 2.0 service.
    pub(crate) plain: Plain,
    /// Counts changes from 1; gives the etag.
    pub(crate) version: i64,
    /// When it was created.
    pub(crate) create_time: OffsetDateTime,
    /// When it was last changed.
    pub(crate) update_time: OffsetDateTime,
}

impl Provider {
    /// The rules that need no network.
    ///
    /// # Errors
    /// FIELD_INVALID.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let must = |good: bool, field: &str, problem: &str| {
            if good { Ok(()) } else { Err(Error::from(api::Error::invalid_field(field, problem))) }
        };
        let text = |text: &str, most: usize| (1..=most).contains(&text.len()) && !text.chars().any(char::is_control);
        must(is_url(&self.issuer), "identity_provider.issuer", "must be a URL without query and fragment")?;
        must(text(&self.client_id, 512), "identity_provider.client_id", "must have 1 to 512 bytes")?;
        let scopes = self.scopes.len() <= LIST_MAX && self.scopes.iter().all(|scope| is_scope(scope));
        must(scopes, "identity_provider.scopes", "must be at most 10 scopes (RFC 6749 section 3.3)")?;
        let hosts =
            self.hosts.len() <= LIST_MAX && self.hosts.iter().all(|host| text(host, 255) && !host.contains('/'));
        must(hosts, "identity_provider.hosts", "must be at most 10 host names")?;
        let plain = &self.plain;
        if self.protocol == Protocol::Oidc {
            let openid = self.scopes.iter().any(|scope| scope == "openid");
            must(openid, "identity_provider.scopes", "must hold openid")?;
            let none = "belongs to OAuth 2.0; an OpenID Connect issuer tells its endpoints itself";
            return must(*plain == Plain::default(), "identity_provider.authorization_endpoint", none);
        }
        for (field, url) in [
            ("identity_provider.authorization_endpoint", &plain.authorization_endpoint),
            ("identity_provider.token_endpoint", &plain.token_endpoint),
            ("identity_provider.userinfo_endpoint", &plain.userinfo_endpoint),
        ] {
            must(is_url(url), field, "must be a URL without query and fragment")?;
        }
        let elsewhere = plain.email_endpoint.is_empty() || is_url(&plain.email_endpoint);
        must(elsewhere, "identity_provider.email_endpoint", "must be a URL without query and fragment, or empty")?;
        for (field, path) in [
            ("identity_provider.subject_path", &plain.subject_path),
            ("identity_provider.email_path", &plain.email_path),
            ("identity_provider.email_verified_path", &plain.email_verified_path),
        ] {
            must(
                path.starts_with('/') && path.len() <= 255,
                field,
                "must be a JSON pointer, for example /email (RFC 6901)",
            )?;
        }
        Ok(())
    }

    /// The URL may be asked on behalf of this provider.
    pub(crate) fn may_ask(&self, url: &str) -> bool {
        let plain = &self.plain;
        let own = [&self.issuer, &plain.token_endpoint, &plain.userinfo_endpoint, &plain.email_endpoint];
        let host = authority(url);
        host.is_some()
            && (own.into_iter().any(|own| authority(own) == host)
                || self.hosts.iter().any(|listed| Some(listed.as_str()) == host))
    }
}

/// What stands between `//` and the path.
fn authority(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())
}

fn is_url(text: &str) -> bool {
    let scheme = text.starts_with("https://") || text.starts_with("http://");
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(['?', '#', '@', '\\', '"']);
    scheme && plain && text.len() <= 1024 && authority(text).is_some()
}

/// A URL that a browser may be sent to; it may have a query (RFC 6749 section 3.1).
pub(crate) fn is_endpoint(text: &str) -> bool {
    let (url, query) = text.split_once('?').unwrap_or((text, ""));
    is_url(url)
        && text.len() <= 2048
        && query.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\"<>\\".contains(&byte))
}

fn is_scope(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
}

/// Who somebody is, as a provider says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// Id there; with the issuer it is the identity, and nothing else is.
    pub(crate) subject: String,
    /// Address there.
    pub(crate) email: Option<String>,
    /// The provider vouches for the address.
    pub(crate) email_verified: bool,
    /// When he proved it there, in seconds since 1970, if the provider says so.
    pub(crate) auth_time: Option<i64>,
}

/// A linked upstream account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its name.
    pub(crate) name: IdentityName,
    /// Issuer.
    pub(crate) issuer: String,
    /// Id there.
    pub(crate) subject: String,
    /// Address there when it was linked.
    pub(crate) email: String,
    /// When it was linked.
    pub(crate) create_time: OffsetDateTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(protocol: Protocol) -> Provider {
        let now = OffsetDateTime::UNIX_EPOCH;
        Provider {
            name: ProviderName { organization: OrganizationId(Id::ZERO), provider: Id::ZERO },
            display_name: "Example".to_owned(),
            protocol,
            issuer: "https://idp.example/realm".to_owned(),
            client_id: "workos".to_owned(),
            scopes: vec!["openid".to_owned(), "email".to_owned()],
            hosts: vec!["keys.example".to_owned()],
            plain: Plain::default(),
            version: 1,
            create_time: now,
            update_time: now,
        }
    }

    #[test]
    fn only_hosts_of_the_row_are_asked() {
        let provider = provider(Protocol::Oidc);
        for good in ["https://idp.example/token", "https://keys.example/jwks?x=1", "https://idp.example"] {
            assert!(provider.may_ask(good), "{good}");
        }
        for bad in [
            "https://idp.example.evil/token",
            "https://evil/idp.example",
            "https://idp.example:444/",
            "idp.example",
            "https:///x",
        ] {
            assert!(!provider.may_ask(bad), "{bad}");
        }
    }

    #[test]
    fn browsers_are_sent_to_urls_alone() {
        for good in ["https://idp.example/authorize", "http://127.0.0.1:9/a?p=b2c_1&x=%20"] {
            assert!(is_endpoint(good), "{good}");
        }
        for bad in [
            "",
            "javascript:alert(1)//",
            "//idp.example/authorize",
            "https://user@idp.example/",
            "https://idp.example/#x",
            "https://idp.example/?a b",
            "https://idp.example/?a\r\nset-cookie: x",
            "data:text/html,x",
        ] {
            assert!(!is_endpoint(bad), "{bad}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_when_it_is_written() {
        assert!(provider(Protocol::Oidc).check().is_ok());
        assert!(provider(Protocol::OAuth).check().is_err(), "no endpoints");
        for change in [
            (|provider: &mut Provider| provider.issuer = "idp.example".to_owned()) as fn(&mut Provider),
            |provider| provider.issuer = "https://user@idp.example".to_owned(),
            |provider| provider.client_id = String::new(),
            |provider| provider.scopes = vec!["email".to_owned()],
            |provider| provider.scopes = vec!["openid".to_owned(), "a b".to_owned()],
            |provider| provider.hosts = vec!["a/b".to_owned()],
            |provider| provider.plain.subject_path = "/id".to_owned(),
        ] {
            let mut provider = provider(Protocol::Oidc);
            change(&mut provider);
            assert!(provider.check().is_err(), "{provider:?}");
        }
    }
}
