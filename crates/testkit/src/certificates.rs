//! Certificates for servers that speak TLS, of an authority that nobody else trusts.
//!
//! ```
//! let certificates = testkit::certificates::Certificates::new();
//! let pem = std::fs::read_to_string(certificates.authority()).unwrap();
//! assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// A certificate for `localhost` and 127.0.0.1 with its key, the authority that vouches for it, and
/// another one. The files are there as long as one of its clones.
#[derive(Debug, Clone)]
pub struct Certificates(Arc<TempDir>);

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

impl Certificates {
    /// Makes all of them.
    ///
    /// # Panics
    /// There is no room for the files.
    pub fn new() -> Self {
        let files = Self(Arc::new(tempfile::tempdir().expect("a temporary folder can be made")));
        let authority = authority();
        let key = KeyPair::generate().expect("a key can be made");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).expect("these are names");
        let certificate = certificate.signed_by(&key, &authority).expect("the authority signs");
        for (path, text) in [
            (files.authority(), authority.pem()),
            (files.stranger(), self::authority().pem()),
            (files.certificate(), certificate.pem()),
            (files.key(), key.serialize_pem()),
        ] {
            std::fs::write(path, text).expect("a temporary file can be written");
        }
        files
    }

    /// The certificate of the authority that vouches for the server's.
    pub fn authority(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// The certificate of another authority.
    pub fn stranger(&self) -> PathBuf {
        self.file("stranger.pem")
    }

    /// The server's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.file("server.pem")
    }

    /// The server's private key.
    pub fn key(&self) -> PathBuf {
        self.file("server.key")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("no name is needed");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key can be made");
    CertifiedIssuer::self_signed(params, key).expect("a key signs")
}
