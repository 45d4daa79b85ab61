//! TLS to the services that are called: one place for calls and health checks.
//!
//! A service is spoken to over TLS where its section says `scheme: https`. Its certificate must be
//! vouched for by the authorities of `[service_tls] ca`, and be for the host that is called, or for
//! `tls_name` where instances are called by addresses that no certificate names. Files are read at the
//! start.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::ClientBuilder;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::Deserialize;
use tusk_config::ValidationError;

use crate::{ServiceSettings, Services};

/// How a service is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// In plain text: within a mesh that encrypts, or on one machine.
    #[default]
    Http,
    /// Over TLS.
    Https,
}

/// Section `[service_tls]` of `microservices.tsk`. Empty paths name no file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ServiceTls {
    /// The certificates (PEM) of the authorities that vouch for services; none: the public ones.
    pub ca: PathBuf,
    /// The certificates (PEM) by which this process shows who it is, its own first.
    pub certificate: PathBuf,
    /// The private key (PEM) of the first of them.
    pub key: PathBuf,
}

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not what it should be.
    #[error("cannot read {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// It is no name that a certificate can have.
    #[error("{0} is no name of a certificate")]
    Name(String),
    /// The certificates are of no use.
    #[error("the certificates cannot be used: {0}")]
    Certificates(String),
}

/// How the services are spoken to, by name. One that is not there is spoken to in plain text.
#[derive(Debug, Default)]
pub(crate) struct Secured(BTreeMap<String, Option<ClientConfig>>);

impl Secured {
    pub(crate) fn new(tls: &ServiceTls, services: &Services) -> Result<Self, TlsError> {
        let secured = services.iter().filter(|(_, section)| section.scheme == Scheme::Https);
        let config = |(name, section): (&String, &ServiceSettings)| {
            Ok((name.clone(), tls.config(&section.tls_name)?))
        };
        secured.map(config).collect::<Result<_, TlsError>>().map(Self)
    }

    pub(crate) fn scheme(&self, service: &str) -> Scheme {
        if self.0.contains_key(service) { Scheme::Https } else { Scheme::Http }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// A client of a service; redirects are not followed, since no service here sends any.
    pub(crate) fn client(&self, service: &str) -> ClientBuilder {
        let builder = reqwest::Client::builder().no_proxy();
        let builder = builder.redirect(reqwest::redirect::Policy::none());
        match self.0.get(service) {
            Some(Some(config)) => builder.tls_backend_preconfigured(config.clone()),
            Some(None) | None => builder,
        }
    }
}

impl ServiceTls {
    /// What cannot work. Reads the files.
    pub fn check(&self, services: &Services) -> Vec<ValidationError> {
        let secured = || services.iter().filter(|(_, it)| it.scheme == Scheme::Https);
        let has_ca = !is_none(&self.ca);
        let nameless = services.iter().find_map(|(name, it)| {
            let fits = has_ca && it.scheme == Scheme::Https;
            let at = format!("service:{name}");
            let text = "it needs scheme: https, and [service_tls] ca to vouch for the name";
            ValidationError::unless(it.tls_name.is_empty() || fits, format!("{at}.tls_name"), text)
        });
        let together = is_none(&self.certificate) == is_none(&self.key);
        let text = "certificate and key go together, and need a ca";
        let pair = together && (has_ca || is_none(&self.certificate));
        let pair = ValidationError::unless(pair, "service_tls.certificate", text);
        let faults = secured().filter_map(|(_, it)| self.config(&it.tls_name).err());
        let unusable =
            faults.map(|error| ValidationError::at("service_tls.ca", error.to_string())).next();
        [nameless, pair, unusable].into_iter().flatten().collect()
    }

    /// The configuration for services whose certificate has this name, or the host's where it is
    /// empty. None: that of the HTTP client, which trusts the public authorities.
    fn config(&self, name: &str) -> Result<Option<ClientConfig>, TlsError> {
        if is_none(&self.ca) {
            return Ok(None);
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(Verifier::new(&certificates(&self.ca)?, name, &provider)?);
        let unusable = |error: rustls::Error| TlsError::Certificates(error.to_string());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        if is_none(&self.certificate) {
            return Ok(Some(config.with_no_client_auth()));
        }
        let key =
            PrivateKeyDer::from_pem_file(&self.key).map_err(|error| file(&self.key, error))?;
        let config = config.with_client_auth_cert(certificates(&self.certificate)?, key);
        config.map(Some).map_err(unusable)
    }
}

fn is_none(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

fn file(path: &Path, reason: impl Display) -> TlsError {
    TlsError::File { path: path.to_owned(), reason: reason.to_string() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_file_iter(path).map_err(|error| file(path, error))?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(|error| file(path, error))?;
    if all.is_empty() { Err(file(path, "there is no certificate in it")) } else { Ok(all) }
}

/// Verifies a certificate as usual; where the settings name it, for that name and not for the host's.
#[derive(Debug)]
struct Verifier {
    usual: Arc<WebPkiServerVerifier>,
    name: Option<ServerName<'static>>,
}

impl Verifier {
    fn new(
        authorities: &[CertificateDer<'static>],
        name: &str,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities.iter().cloned());
        let usual = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
        let usual = usual.build().map_err(|error| TlsError::Certificates(error.to_string()))?;
        let own = ServerName::try_from(name.to_owned());
        let own = own.map_err(|_| TlsError::Name(name.to_owned()));
        let name = if name.is_empty() { None } else { Some(own?) };
        Ok(Self { usual, name })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = self.name.as_ref().unwrap_or(host);
        self.usual.verify_server_cert(certificate, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
