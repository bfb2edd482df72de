//! A signer and certificates for development and tests: `workos certificates DIR`.
//!
//! The signer is kept as long as it is good, so that a browser needs to trust it once; the certificates are made anew each
//! time. Keys are readable by their owner alone. In production certificates come from the platform (SPIRE, cert-manager).
use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Error;
use crate::identity::Trust;

const SIGNER_LIFE: Duration = Duration::days(3650);
const LIFE: Duration = Duration::days(397);
/// A signer with less than this left is not used any more.
const LEFT: Duration = Duration::days(400);
const NAME: &str = "WorkOS development signer";

/// Writes `ca.pem`, `ca-key.pem`, and `<service>.pem`, `<service>-key.pem` for each service into a folder. A good signer that
/// lies there is used again.
///
/// # Errors
/// The folder cannot be written, or holds a signer that cannot be used any more (it is not overwritten: remove it).
pub fn certificates(folder: &Path, services: &[&str], trust: &Trust, now: OffsetDateTime) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|source| Error::File { path: folder.to_owned(), source })?;
    let signer = signer(folder, now)?;
    for service in services {
        let key = KeyPair::generate().map_err(make)?;
        let certificate = leaf(service, trust, now)?.signed_by(&key, &signer).map_err(make)?;
        write(&folder.join(format!("{service}.pem")), certificate.pem().as_bytes(), 0o644)?;
        write(&folder.join(format!("{service}-key.pem")), key.serialize_pem().as_bytes(), 0o600)?;
    }
    Ok(())
}

fn signer(folder: &Path, now: OffsetDateTime) -> Result<Issuer<'static, KeyPair>, Error> {
    let (certificate_path, key_path) = (folder.join("ca.pem"), folder.join("ca-key.pem"));
    let unusable = |why: &str| {
        Error::Make(format!("the signer in {} {why}; remove ca.pem and ca-key.pem to get a new one", folder.display()))
    };
    match (fs::read(&certificate_path), fs::read_to_string(&key_path)) {
        (Ok(certificate), Ok(key)) => {
            let der = CertificateDer::from_pem_slice(&certificate).map_err(|_| unusable("is no certificate"))?;
            let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| unusable("is no certificate"))?;
            if parsed.validity().not_after.timestamp() < (now + LEFT).unix_timestamp() {
                return Err(unusable("ends soon"));
            }
            let key = KeyPair::from_pem(&key).map_err(|_| unusable("has a key that cannot be read"))?;
            if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
                return Err(unusable("has the key of another one"));
            }
            Ok(Issuer::new(signer_params(now), key))
        }
        (Err(_), Err(_)) => {
            let key = KeyPair::generate().map_err(make)?;
            let certificate = signer_params(now).self_signed(&key).map_err(make)?;
            write(&key_path, key.serialize_pem().as_bytes(), 0o600)?;
            write(&certificate_path, certificate.pem().as_bytes(), 0o644)?;
            Ok(Issuer::new(signer_params(now), key))
        }
        _ => Err(unusable("is half there")),
    }
}

fn signer_params(now: OffsetDateTime) -> CertificateParams {
    let mut params = params(NAME, now, SIGNER_LIFE);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf(service: &str, trust: &Trust, now: OffsetDateTime) -> Result<CertificateParams, Error> {
    let mut params = params(service, now, LIFE);
    let text = |text: String| text.try_into().map_err(make);
    params.subject_alt_names = vec![
        SanType::URI(text(trust.uri(service))?),
        SanType::DnsName(text(service.to_owned())?),
        SanType::DnsName(text(format!("{service}-service"))?),
        SanType::DnsName(text("localhost".to_owned())?),
        SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
        SanType::IpAddress(std::net::Ipv6Addr::LOCALHOST.into()),
    ];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn params(name: &str, now: OffsetDateTime, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    // An hour back, for clocks that are a little behind.
    params.not_before = now - Duration::HOUR;
    params.not_after = now + life;
    params
}

/// Writes beside and renames, so that a reader never sees half a file.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let error = |source| Error::File { path: path.to_owned(), source };
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside).map_err(error)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(error)?;
    fs::rename(&beside, path).map_err(error)
}

fn make(error: impl std::fmt::Display) -> Error {
    Error::Make(error.to_string())
}
