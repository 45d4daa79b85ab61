//! Services that are spoken to over TLS: who is believed, and who shows a certificate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use discovery::{
    Discovery, DiscoverySettings, Health, LoadBalancingSettings, Scheme, ServiceSettings,
    ServiceTls, Services,
};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use service_client::{Kind, ServiceClient};
use testkit::certificates::Certificates;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tusk_config::HttpRequest;

use crate::{get, settings};

/// An address that the server's certificate names, and one that it does not.
const NAMED: &str = "127.0.0.1";
const UNNAMED: &str = "127.0.0.2";

const OK: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\nconnection: close\r\n\r\n{\"ok\":true}";

/// The settings of a service that speaks TLS, which answers everybody who gets through, or those
/// alone who show a certificate of the authority.
async fn serve(certificates: &Certificates, host: &str, tls_name: &str, asks: bool) -> Services {
    let listener = TcpListener::bind((host, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = acceptor(certificates, asks);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(acceptor.accept(stream).await?);
                let mut line = String::new();
                while stream.read_line(&mut line).await? > 2 {
                    line.clear();
                }
                stream.write_all(OK).await?;
                stream.shutdown().await
            });
        }
    });
    let section = ServiceSettings {
        host: host.to_owned(),
        port,
        health_check: HttpRequest::get(format!("https://{host}:{port}/health")),
        version: "1.0.0".to_owned(),
        instances: Vec::new(),
        scheme: Scheme::Https,
        tls_name: tls_name.to_owned(),
    };
    BTreeMap::from([("user-service".to_owned(), section)])
}

fn acceptor(certificates: &Certificates, asks: bool) -> TlsAcceptor {
    let provider = Arc::new(default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider.clone());
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = if asks {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(pem(&certificates.authority()));
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        config.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        config.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(certificates.key()).unwrap();
    let config = config.with_single_cert(pem(&certificates.certificate()), key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn pem(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect()
}

fn trusting(ca: PathBuf) -> ServiceTls {
    ServiceTls { ca, ..ServiceTls::default() }
}

fn discovery(services: &Services, tls: &ServiceTls) -> Discovery {
    let (settings, balancing) = (DiscoverySettings::default(), LoadBalancingSettings::default());
    let discovery = Discovery::new(&settings, services, &balancing, &["user-service"]).unwrap();
    discovery.with_tls(tls, services).unwrap()
}

async fn call(services: &Services, tls: &ServiceTls) -> Result<(), Kind> {
    let registry = discovery(services, tls).registry();
    let client = ServiceClient::new("user-service", &registry, &settings()).unwrap();
    get(&client).await.map(drop).map_err(|error| error.kind)
}

#[tokio::test]
async fn a_service_is_believed_by_its_authority_and_its_name() {
    let certificates = Certificates::new();
    let ours = trusting(certificates.authority());
    let strangers = trusting(certificates.stranger());
    for (host, tls_name, tls, is_believed) in [
        (NAMED, "", &ours, true),
        (NAMED, "", &strangers, false),
        (NAMED, "", &ServiceTls::default(), false),
        (NAMED, "user-service", &ours, false),
        (UNNAMED, "", &ours, false),
        (UNNAMED, "localhost", &ours, true),
        (UNNAMED, "localhost", &strangers, false),
    ] {
        let services = serve(&certificates, host, tls_name, false).await;
        let answer = call(&services, tls).await;
        let is_refused = matches!(answer, Err(Kind::Unreachable));
        assert_eq!((answer.is_ok(), is_refused), (is_believed, !is_believed), "{host} {tls_name}");
    }
}

#[tokio::test]
async fn a_service_that_asks_for_a_certificate_is_shown_the_one_of_the_settings() {
    let certificates = Certificates::new();
    let services = serve(&certificates, NAMED, "", true).await;
    let nameless = trusting(certificates.authority());
    assert!(call(&services, &nameless).await.is_err());
    let certificate = certificates.certificate();
    let key = certificates.key();
    let named = ServiceTls { certificate, key, ..nameless };
    assert!(call(&services, &named).await.is_ok());
}

#[tokio::test]
async fn health_checks_speak_tls_as_calls_do() {
    let certificates = Certificates::new();
    let services = serve(&certificates, UNNAMED, "localhost", false).await;
    for (ca, health) in
        [(certificates.authority(), Health::Healthy), (certificates.stranger(), Health::Unhealthy)]
    {
        let discovery = discovery(&services, &trusting(ca));
        let registry = discovery.registry();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(discovery.run(shutdown.clone()));
        let is_told = async {
            while registry.statuses("user-service")[0].1.health != health {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), is_told).await.unwrap();
        shutdown.cancel();
        running.await.unwrap().unwrap();
    }
}

#[test]
fn settings_that_cannot_work_are_reported_at_their_keys() {
    let certificates = Certificates::new();
    let section = |scheme, tls_name: &str| ServiceSettings {
        host: "user-service".to_owned(),
        port: 3001,
        health_check: HttpRequest::get("https://user-service:3001/health"),
        version: "1.0.0".to_owned(),
        instances: Vec::new(),
        scheme,
        tls_name: tls_name.to_owned(),
    };
    let told = |tls: &ServiceTls, scheme, tls_name| {
        let services = BTreeMap::from([("user-service".to_owned(), section(scheme, tls_name))]);
        let errors = tls.check(&services);
        errors.iter().map(|error| error.path().to_owned()).collect::<Vec<_>>()
    };
    let ours = trusting(certificates.authority());
    assert!(told(&ours, Scheme::Https, "user-service").is_empty());
    assert!(told(&ServiceTls::default(), Scheme::Http, "").is_empty());
    assert_eq!(told(&ours, Scheme::Http, "x"), ["service:user-service.tls_name"]);
    assert_eq!(told(&ServiceTls::default(), Scheme::Https, "x"), ["service:user-service.tls_name"]);
    let keyless = ServiceTls { certificate: certificates.certificate(), ..ours.clone() };
    assert!(told(&keyless, Scheme::Http, "").contains(&"service_tls.certificate".to_owned()));
    let nowhere = trusting("/nowhere.pem".into());
    assert_eq!(told(&nowhere, Scheme::Https, ""), ["service_tls.ca"]);
    assert_eq!(told(&trusting(certificates.key()), Scheme::Https, ""), ["service_tls.ca"]);
    assert_eq!(told(&ours, Scheme::Https, "no name"), ["service_tls.ca"]);
}
