//! TLS: certificates from files that are read again when they change, and the identity of peers by SPIFFE URI.
//!
//! ring is the only provider, given explicitly, so nothing depends on a process-wide default. TLS 1.3 and 1.2, no own cipher
//! lists. Files are compared by content every few seconds when a connection is made: a symbolic link that Kubernetes swaps,
//! and a file that is replaced within the clock's granularity, are both noticed.
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    server::WebPkiClientVerifier,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::TlsAcceptor;

use crate::identity::Trust;

mod certs;
mod development;
mod verify;

pub use certs::Certificate;
pub use development::certificates;

/// How often files are compared with what is held.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Protocols of the mesh.
const MESH_PROTOCOLS: &[&[u8]] = &[b"h2"];
/// Protocols of an edge listener, the preferred one first.
const EDGE_PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1"];

/// The files of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// PEM certificate chain, the leaf first.
    pub certificate: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
    /// PEM certificates that sign peers; without it no peer can be verified, as an edge listener has it.
    pub ca: Option<PathBuf>,
}

/// What is wrong with the files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no usable PEM.
    #[error("{path} holds no {what} in PEM form", path = path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// Certificate, key and signer do not fit together.
    #[error("certificate {path} cannot be used: {source}", path = path.display())]
    Unfit {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// There is no `ca`, so peers cannot be verified.
    #[error("no ca file is set, so no peer can be verified")]
    NoSigner,
    /// A certificate could not be made or written.
    #[error("make certificates: {0}")]
    Make(String),
}

/// An identity whose files are watched. Cheap to clone; clones share what was read.
#[derive(Clone)]
pub struct Reloading(Arc<Inner>);

struct Inner {
    files: Files,
    held: RwLock<Held>,
}

#[derive(Clone)]
struct Held {
    raw: Raw,
    identity: Arc<Identity>,
    looked: Instant,
}

#[derive(Clone, PartialEq, Eq)]
struct Raw {
    certificate: Vec<u8>,
    key: Vec<u8>,
    ca: Option<Vec<u8>>,
}

/// One reading of the files, and what follows from it.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Option<Arc<RootCertStore>>,
    edge: Arc<ServerConfig>,
    mutual: Option<Arc<ServerConfig>>,
}

impl Reloading {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with them, naming the file.
    pub fn open(files: Files) -> Result<Self, Error> {
        let raw = Raw::read(&files)?;
        let identity = Arc::new(Identity::of(&files, &raw)?);
        let held = RwLock::new(Held { raw, identity, looked: Instant::now() });
        Ok(Self(Arc::new(Inner { files, held })))
    }

    /// Acceptor for a listener whose clients show no certificate: HTTP/2 and HTTP/1.1.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.identity().edge))
    }

    /// Acceptor for a mesh listener: HTTP/2, and the client must show a certificate of our signer.
    ///
    /// # Errors
    /// [`Error::NoSigner`].
    pub fn mutual_acceptor(&self) -> Result<TlsAcceptor, Error> {
        self.identity().mutual.clone().map(TlsAcceptor::from).ok_or(Error::NoSigner)
    }

    /// Client settings for one service: only a server whose certificate names that service is spoken to.
    ///
    /// # Errors
    /// [`Error::NoSigner`], or a key that does not fit.
    pub fn client(&self, trust: &Trust, service: &str) -> Result<Arc<ClientConfig>, Error> {
        let identity = self.identity();
        let roots = identity.roots.clone().ok_or(Error::NoSigner)?;
        let verifier = verify::Named::new(roots, provider(), trust.clone(), service);
        let unfit = |source| Error::Unfit { path: self.0.files.certificate.clone(), source };
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unfit)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
            .map_err(unfit)?;
        config.alpn_protocols = MESH_PROTOCOLS.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// Looks at the files now, whether or not it is time.
    ///
    /// # Errors
    /// What is wrong with them; what was held before stays in force.
    pub fn reload(&self) -> Result<(), Error> {
        let raw = Raw::read(&self.0.files)?;
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        held.looked = Instant::now();
        if held.raw != raw {
            held.identity = Arc::new(Identity::of(&self.0.files, &raw)?);
            held.raw = raw;
            tracing::info!(target: "mesh", certificate = %self.0.files.certificate.display(), "certificate read again");
        }
        Ok(())
    }

    fn identity(&self) -> Arc<Identity> {
        let (identity, looked) = {
            let held = self.0.held.read().unwrap_or_else(PoisonError::into_inner);
            (Arc::clone(&held.identity), held.looked)
        };
        if looked.elapsed() < LOOK_EVERY {
            return identity;
        }
        if let Err(error) = self.reload() {
            self.0.held.write().unwrap_or_else(PoisonError::into_inner).looked = Instant::now();
            tracing::warn!(target: "mesh", error = %error, "certificate cannot be read again, the old one stays");
        }
        Arc::clone(&self.0.held.read().unwrap_or_else(PoisonError::into_inner).identity)
    }
}

impl fmt::Debug for Reloading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Reloading").field(&self.0.files).finish()
    }
}

impl Raw {
    fn read(files: &Files) -> Result<Self, Error> {
        let read = |path: &PathBuf| fs::read(path).map_err(|source| Error::File { path: path.clone(), source });
        let ca = files.ca.as_ref().map(read).transpose()?;
        Ok(Self { certificate: read(&files.certificate)?, key: read(&files.key)?, ca })
    }
}

impl Identity {
    fn of(files: &Files, raw: &Raw) -> Result<Self, Error> {
        let chain = certificates_in(&files.certificate, &raw.certificate)?;
        let no_key = |_| Error::Pem { path: files.key.clone(), what: "private key" };
        let key = PrivateKeyDer::from_pem_slice(&raw.key).map_err(no_key)?;
        let roots = match (&files.ca, &raw.ca) {
            (Some(path), Some(bytes)) => Some(Arc::new(roots(path, bytes)?)),
            _ => None,
        };
        let edge = Arc::new(server(files, &chain, &key, None)?);
        let mutual = roots.as_ref().map(|roots| server(files, &chain, &key, Some(roots)).map(Arc::new)).transpose()?;
        Ok(Self { chain, key, roots, edge, mutual })
    }
}

fn server(
    files: &Files,
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
    roots: Option<&Arc<RootCertStore>>,
) -> Result<ServerConfig, Error> {
    let unfit = |source| Error::Unfit { path: files.certificate.clone(), source };
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(unfit)?;
    let builder = match roots {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider()).build();
            builder
                .with_client_cert_verifier(verifier.map_err(|error| unfit(rustls::Error::General(error.to_string())))?)
        }
    };
    let mut config = builder.with_single_cert(chain.to_vec(), key.clone_key()).map_err(unfit)?;
    let protocols = if roots.is_some() { MESH_PROTOCOLS } else { EDGE_PROTOCOLS };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

fn certificates_in(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let none = || Error::Pem { path: path.to_owned(), what: "certificate" };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(bytes).collect::<Result<_, _>>().map_err(|_| none())?;
    if chain.is_empty() { Err(none()) } else { Ok(chain) }
}

fn roots(path: &Path, bytes: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_in(path, bytes)? {
        roots.add(certificate).map_err(|source| Error::Unfit { path: path.to_owned(), source })?;
    }
    Ok(roots)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
