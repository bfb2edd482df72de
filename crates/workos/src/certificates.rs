//! `workos certificates DIR`: a development CA and a certificate for every workload, for services run apart over mTLS.
use std::path::Path;

use anyhow::Result;

use crate::{services::SERVICES, terminal};

/// Makes what is missing and says how services find it.
pub(crate) fn write(dir: &Path) -> Result<()> {
    let names = make(dir)?;
    terminal::line(format!("{}: ca.pem, and a certificate and key for {}", dir.display(), names.join(", ")));
    terminal::line("For development only. Every service that runs alone finds its own by these settings:");
    let dir = std::path::absolute(dir)?;
    for (setting, file) in [("CERTIFICATE", "{service}.pem"), ("KEY", "{service}-key.pem"), ("CA", "ca.pem")] {
        terminal::line(format!("export WORKOS__MESH__{setting}='{}'", dir.join(file).display()));
    }
    Ok(())
}

/// Writes what is missing; a valid CA is kept, so that running it again does not break running services. Gives the names of the services.
pub(crate) fn make(dir: &Path) -> Result<Vec<&'static str>> {
    let names: Vec<_> = SERVICES.iter().map(|spec| spec.name()).collect();
    let mesh = mesh::Settings::default();
    let trust = mesh::identity::Trust::new(&mesh.trust_domain, &mesh.namespace);
    mesh::tls::certificates(dir, &names, &trust, api::Clock::default().now())?;
    Ok(names)
}
