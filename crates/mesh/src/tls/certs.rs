//! What an operator sees of the certificates in force: for whom, from when, until when. Never a key.
use serde::Serialize;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

use super::Reloading;

/// One certificate of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// File it was read from.
    pub path: String,
    /// Distinguished name of its subject.
    pub subject: String,
    /// Distinguished name of who signed it.
    pub issuer: String,
    /// In hexadecimal digits.
    pub serial: String,
    /// DNS names, URIs and addresses it is for.
    pub names: Vec<String>,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
}

impl Reloading {
    /// The chain in force, the leaf first.
    #[must_use]
    pub fn shown(&self) -> Vec<Certificate> {
        let path = self.0.files.certificate.display().to_string();
        self.identity().chain.iter().filter_map(|der| shown(&path, der)).collect()
    }
}

fn shown(path: &str, der: &[u8]) -> Option<Certificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.iter().map(name).collect()).unwrap_or_default();
    Some(Certificate {
        path: path.to_owned(),
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        serial: certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect(),
        names,
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
    })
}

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(text) | GeneralName::URI(text) | GeneralName::RFC822Name(text) => (*text).to_owned(),
        GeneralName::IPAddress([a, b, c, d]) => format!("{a}.{b}.{c}.{d}"),
        GeneralName::IPAddress(bytes) => {
            <[u8; 16]>::try_from(*bytes).map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()).unwrap_or_default()
        }
        other => other.to_string(),
    }
}
