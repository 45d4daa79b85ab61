//! What the issuer says of itself (OpenID Connect Discovery), read when it is first needed.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::IssuerError;
use super::calls::Http;

/// Where the document is, behind the issuer's own URL.
const PATH: &str = "/.well-known/openid-configuration";
/// How long it is believed.
const AGE_MAX: Duration = Duration::from_secs(60 * 60);
/// How a client shows its secret, where the issuer does not say (OpenID Connect Discovery, section 3).
const BASIC: &str = "client_secret_basic";

/// The part of the document that is used.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) jwks_uri: Url,
    /// Whether its answers to browsers name it (RFC 9207).
    pub(super) sends_issuer: bool,
    /// Whether it takes the client's secret by HTTP Basic, else in the form.
    pub(super) takes_basic: bool,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// The document, for an hour.
#[derive(Default)]
pub(super) struct MetadataCache(Mutex<Option<(Instant, Arc<Metadata>)>>);

impl MetadataCache {
    /// What the issuer of this URL says of itself; who comes meanwhile waits for the one who asks.
    pub(super) async fn get(
        &self,
        http: &Http,
        issuer: &str,
    ) -> Result<Arc<Metadata>, IssuerError> {
        let mut cached = self.0.lock().await;
        if let Some((at, metadata)) = &*cached
            && at.elapsed() < AGE_MAX
        {
            return Ok(metadata.clone());
        }
        let url = format!("{}{PATH}", issuer.trim_end_matches('/'));
        let url = Url::parse(&url).map_err(|_| IssuerError::Unavailable("has no address"))?;
        let metadata = Arc::new(Metadata::of(http.get(&url).await?, issuer)?);
        *cached = Some((Instant::now(), metadata.clone()));
        Ok(metadata)
    }
}

impl Metadata {
    fn of(document: Document, issuer: &str) -> Result<Self, IssuerError> {
        if document.issuer != issuer {
            return Err(IssuerError::Unavailable("names itself otherwise than the settings"));
        }
        // Browsers are sent to one of them: no other scheme than the issuer's own, and never one less.
        let is_plain = issuer.starts_with("http:");
        let endpoint = |text: &str| {
            let url = Url::parse(text).ok();
            let is_web =
                |url: &Url| url.scheme() == "https" || (is_plain && url.scheme() == "http");
            let fault = IssuerError::Unavailable("names an endpoint that is no address of the web");
            url.filter(is_web).ok_or(fault)
        };
        let methods = document.token_endpoint_auth_methods_supported;
        Ok(Self {
            authorization_endpoint: endpoint(&document.authorization_endpoint)?,
            token_endpoint: endpoint(&document.token_endpoint)?,
            jwks_uri: endpoint(&document.jwks_uri)?,
            sends_issuer: document.authorization_response_iss_parameter_supported,
            takes_basic: methods.is_none_or(|all| all.iter().any(|method| method == BASIC)),
        })
    }
}
