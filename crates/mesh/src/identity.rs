//! Who is at the other end: the SPIFFE URI of a certificate, or what a sidecar on this host says of it.
//!
//! One source per mode, never two at once. A name outside our trust domain and namespace is no name.
use x509_parser::{extensions::GeneralName, prelude::FromDer};

use crate::call::Peer;

/// Trust domain and namespace in which workload names mean something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    prefix: String,
}

impl Trust {
    /// The workloads of this namespace in this trust domain.
    #[must_use]
    pub fn new(trust_domain: &str, namespace: &str) -> Self {
        Self { prefix: format!("spiffe://{trust_domain}/ns/{namespace}/sa/") }
    }

    /// The URI of a service.
    #[must_use]
    pub fn uri(&self, service: &str) -> String {
        format!("{}{service}", self.prefix)
    }

    /// The service that a URI names; `None` when it is not one of ours.
    #[must_use]
    pub fn service<'a>(&self, uri: &'a str) -> Option<&'a str> {
        let service = uri.strip_prefix(&self.prefix)?;
        let fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (!service.is_empty() && service.len() <= 63 && service.bytes().all(fit)).then_some(service)
    }

    /// The peer of a certificate. Exactly one SPIFFE URI must stand in it (SPIFFE X.509-SVID, section 2).
    #[must_use]
    pub fn peer(&self, certificate: &[u8]) -> Peer {
        uri_of(certificate).and_then(|uri| self.service(&uri).map(Peer::named)).unwrap_or_else(Peer::unknown)
    }

    /// The peer that a sidecar forwards: the URI of the last element, which the sidecar itself wrote.
    pub(crate) fn forwarded(&self, header: &str) -> Peer {
        let Some(element) = split_outside_quotes(header, ',').last() else { return Peer::unknown() };
        let mut uris = split_outside_quotes(element, ';').filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            key.trim().eq_ignore_ascii_case("uri").then(|| value.trim().trim_matches('"'))
        });
        match (uris.next(), uris.next()) {
            (Some(uri), None) => self.service(uri).map_or_else(Peer::unknown, Peer::named),
            _ => Peer::unknown(),
        }
    }
}

fn uri_of(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => Some(uri),
        _ => None,
    }
}

fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |letter| {
        let was_escaped = escaped;
        escaped = letter == '\\' && !was_escaped;
        if letter == '"' && !was_escaped {
            quoted = !quoted;
        }
        letter == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust() -> Trust {
        Trust::new("workos.local", "workos")
    }

    #[test]
    fn only_names_of_our_domain_and_namespace_count() {
        assert_eq!(trust().service("spiffe://workos.local/ns/workos/sa/document"), Some("document"));
        for uri in [
            "spiffe://other.local/ns/workos/sa/document",
            "spiffe://workos.local/ns/other/sa/document",
            "spiffe://workos.local/ns/workos/sa/",
            "spiffe://workos.local/ns/workos/sa/document/x",
            "spiffe://workos.local/ns/workos/sa/Document",
            "https://workos.local/ns/workos/sa/document",
        ] {
            assert_eq!(trust().service(uri), None, "{uri}");
        }
    }

    #[test]
    fn the_last_element_of_the_forwarded_header_names_the_peer() {
        let one = "By=spiffe://x;Hash=ab;Subject=\"CN=a,b;URI=spiffe://workos.local/ns/workos/sa/auth\";URI=spiffe://workos.local/ns/workos/sa/gateway";
        assert_eq!(trust().forwarded(one), Peer::named("gateway"));
        let two = format!("URI=spiffe://workos.local/ns/workos/sa/auth,{one}");
        assert_eq!(trust().forwarded(&two), Peer::named("gateway"));
        for bad in [
            "",
            "URI=spiffe://evil/ns/workos/sa/gateway",
            "Subject=\"URI=spiffe://workos.local/ns/workos/sa/gateway\"",
            "URI=spiffe://workos.local/ns/workos/sa/a;URI=spiffe://workos.local/ns/workos/sa/b",
        ] {
            assert_eq!(trust().forwarded(bad), Peer::unknown(), "{bad}");
        }
    }

    #[test]
    fn random_bytes_are_no_certificate() {
        assert_eq!(trust().peer(&[0x30, 0x82, 1, 2, 3]), Peer::unknown());
    }
}
