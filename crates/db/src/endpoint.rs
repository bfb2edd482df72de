//! From a URL to a connection: what the URL says about TLS, and single sessions outside the pool.
//!
//! A server certificate is always verified. libpq's `sslmode=require` without a root certificate encrypts towards anybody,
//! so here it needs `sslrootcert` (a PEM file), a parameter that the driver itself does not know.
use std::{sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config, NoTls, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{Error, error};

/// How bytes travel.
#[derive(Clone)]
pub(crate) enum Tls {
    /// As they are.
    Off,
    /// Encrypted, the server verified.
    On(MakeRustlsConnect),
}

/// A parsed URL.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) config: Config,
    pub(crate) tls: Tls,
}

impl Endpoint {
    /// Reads a URL; says what is wrong with it without repeating its password.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let (plain, root) = take_root_certificate(url);
        let plain =
            plain.replace("sslmode=verify-full", "sslmode=require").replace("sslmode=verify-ca", "sslmode=require");
        let config: Config = plain.parse().map_err(|cause: tokio_postgres::Error| {
            Error::configuration(format!("the PostgreSQL URL is malformed: {}", error::describe(&cause)))
        })?;
        let tls = match (config.get_ssl_mode(), root) {
            (SslMode::Require, Some(path)) => Tls::On(MakeRustlsConnect::new(trusting(&path)?)),
            (SslMode::Require, None) => {
                let text = "sslmode=require needs sslrootcert=<PEM file> in the PostgreSQL URL, else the server cannot be verified";
                return Err(Error::configuration(text));
            }
            _ => Tls::Off,
        };
        Ok(Self { config, tls })
    }

    /// Opens a session of its own.
    pub(crate) async fn session(&self, patience: Duration) -> Result<Session, Error> {
        let role = self.config.get_user().unwrap_or("of the URL").to_owned();
        let opened = timeout(patience, self.open())
            .await
            .map_err(|_| Error::new(crate::Kind::Unavailable, "connecting took too long"))?;
        opened.map_err(|cause| Error::connecting(&cause, &role))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the driver's connection task; its handle is aborted when the session is dropped"
    )]
    async fn open(&self) -> Result<Session, tokio_postgres::Error> {
        match &self.tls {
            Tls::Off => {
                let (client, connection) = self.config.connect(NoTls).await?;
                Ok(Session { client, task: tokio::spawn(finish(connection)) })
            }
            Tls::On(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                Ok(Session { client, task: tokio::spawn(finish(connection)) })
            }
        }
    }
}

async fn finish(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(cause) = connection.await {
        tracing::debug!(error = error::describe(&cause), "postgres session ended");
    }
}

/// A connection outside the pool; closed when dropped.
pub(crate) struct Session {
    pub(crate) client: Client,
    task: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Removes `sslrootcert=<path>` from the URL.
fn take_root_certificate(url: &str) -> (String, Option<String>) {
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let (root, rest): (Vec<_>, Vec<_>) = query.split('&').partition(|part| part.starts_with("sslrootcert="));
    let root = root.first().and_then(|part| part.strip_prefix("sslrootcert=")).map(str::to_owned);
    (if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) }, root)
}

fn trusting(path: &str) -> Result<ClientConfig, Error> {
    let unusable = |problem: String| {
        Error::configuration(format!("sslrootcert {path} of the PostgreSQL URL cannot be used: {problem}"))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|cause| unusable(cause.to_string()))? {
        roots
            .add(certificate.map_err(|cause| unusable(cause.to_string()))?)
            .map_err(|cause| unusable(cause.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("it holds no certificate".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(|cause| unusable(cause.to_string()))?.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_without_a_root_certificate_is_refused() {
        let error = Endpoint::parse("postgres://h/d?sslmode=require").err().expect("nobody could be verified");
        assert!(error.to_string().contains("sslrootcert"), "{error}");
    }

    #[test]
    fn a_malformed_url_is_refused_without_repeating_its_password() {
        let error = Endpoint::parse("postgres://u:secret@h:port/d").err().expect("the port is no number");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn the_root_certificate_is_taken_out_of_the_url() {
        let (url, root) = take_root_certificate("postgres://h/d?sslrootcert=/ca.pem&sslmode=require");
        assert_eq!((url.as_str(), root.as_deref()), ("postgres://h/d?sslmode=require", Some("/ca.pem")));
    }
}
