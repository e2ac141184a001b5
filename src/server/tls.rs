//! The certificate of a listener, and its exchange while connections are open.
//!
//! The files are looked at every few seconds, since tools that renew certificates write files and tell
//! nobody. A pair that does not fit together is not taken: the old one stays, and the log says why.

use std::{
    fmt, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::{CryptoProvider, aws_lc_rs},
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
};

use super::TlsConfig;

/// The pair of certificate and key that handshakes use now.
pub struct Certificate {
    files: TlsConfig,
    current: ArcSwap<CertifiedKey>,
    stamp: Mutex<Stamp>,
}

/// Why a certificate was not taken. Neither file's content is part of it.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file cannot be read.
    #[error("cannot read {}", file.display())]
    Unreadable {
        /// Certificate or key.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No certificate in the certificate's file, or not PEM.
    #[error("no PEM certificate in {}", file.display())]
    NoCertificate {
        /// The certificate's file.
        file: PathBuf,
    },
    /// No private key in the key's file, or not PEM.
    #[error("no PEM private key in {}", file.display())]
    NoKey {
        /// The key's file.
        file: PathBuf,
    },
    /// The key is of another certificate or of an unknown kind, or the certificate cannot be parsed.
    #[error("certificate and key cannot be used")]
    Unusable(#[from] rustls::Error),
}

/// What a renewal changes about a file, without reading it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Stamp(Vec<(i64, i64, u64, u64)>);

impl Certificate {
    /// Reads the pair for the first time.
    pub(super) fn load(files: &TlsConfig) -> Result<Arc<Self>, CertificateError> {
        // The stamp comes first: a change between the two is then seen as one, not missed.
        let stamp = Stamp::of(files);
        let pair = read(files)?;
        Ok(Arc::new(Self {
            files: files.clone(),
            current: ArcSwap::from_pointee(pair),
            stamp: Mutex::new(stamp),
        }))
    }

    /// Reads the pair again where a file has changed since the last time; tells whether one had. On an error
    /// the old pair stays, and the files are not read again until they change.
    ///
    /// Blocks on the file system for the size of a certificate.
    pub fn reload(&self) -> Result<bool, CertificateError> {
        let mut known = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.files);
        if *known == stamp {
            return Ok(false);
        }
        *known = stamp;
        self.current.store(Arc::new(read(&self.files)?));
        Ok(true)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Stamp {
    fn of(files: &TlsConfig) -> Self {
        let of = |file: &Path| {
            fs::metadata(file)
                .map(|meta| (meta.mtime(), meta.mtime_nsec(), meta.len(), meta.ino()))
                .unwrap_or_default()
        };
        Self(vec![of(&files.certificate_file), of(&files.key_file)])
    }
}

/// An acceptor for TLS 1.2 and 1.3 that prefers HTTP/2.
pub(super) fn acceptor(certificate: &Arc<Certificate>) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::<Certificate>::clone(certificate));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Stateless resumption: it outlives the 256 sessions that the default keeps in memory.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn read(files: &TlsConfig) -> Result<CertifiedKey, CertificateError> {
    let bytes = |file: &PathBuf| {
        fs::read(file).map_err(|source| CertificateError::Unreadable { file: file.clone(), source })
    };
    let no_certificate = || CertificateError::NoCertificate { file: files.certificate_file.clone() };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes(&files.certificate_file)?)
        .collect::<Result<_, _>>()
        .map_err(|_| no_certificate())?;
    if chain.is_empty() {
        return Err(no_certificate());
    }
    let key = PrivateKeyDer::from_pem_slice(&bytes(&files.key_file)?)
        .map_err(|_| CertificateError::NoKey { file: files.key_file.clone() })?;
    Ok(CertifiedKey::from_der(chain, key, &provider())?)
}
