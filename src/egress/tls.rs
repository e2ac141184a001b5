//! Whom to trust: the system's root certificates and the configured ones.

use std::sync::Arc;

use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{Config, Error};

pub(super) fn client(config: &Config) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots(config)?).with_no_client_auth())
}

/// The system's certificates and the configured ones. None at all is no error, since S3 may be reached
/// over plain HTTP in a container without certificates; each TLS handshake then fails.
fn roots(config: &Config) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "a root certificate of the system could not be read");
    }
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = &config.ca_file {
        let unreadable = |source| Error::CaFileUnreadable { path: path.clone(), source };
        let unusable = || Error::CaFileUnusable { path: path.clone() };
        let certificates: Vec<_> =
            CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(unreadable)?;
        if certificates.is_empty() {
            return Err(unusable());
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|_| unusable())?;
        }
    }
    Ok(roots)
}
