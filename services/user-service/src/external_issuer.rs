//! An external issuer (OpenID Connect): who somebody is, as the issuer says it.
//!
//! ```text
//! browser ── begins ──▶ this service        state and browser secret are made; both are kept as hashes
//!    │                        │
//!    └─▶ issuer's page ◀── authorization URL (state, nonce, PKCE challenge)
//!          │
//! browser ◀┘ code, state (and iss, RFC 9207)
//!    └── code, state, browser secret ──▶ this service ── code, verifier ──▶ issuer: ID token
//!                                                     ── keys, by kid ────▶ issuer: JWKS
//! ```
//!
//! Verifier and nonce are made of the browser secret, so that nothing has to be kept which opens anything: whoever
//! reads the table cannot complete a flow, and whoever has a stranger's code and state cannot either.

mod calls;
mod id_token;
mod keys;
mod metadata;
mod settings;
mod token_endpoint;

use std::sync::Arc;
use std::time::Duration;

use auth::opaque::{self, OpaqueHash, OpaqueToken};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::Clock;
use resilience::bulkhead::Bulkhead;
use tusk_config::Secret;

pub(crate) use id_token::Identity;
pub(crate) use settings::ExternalIssuerSettings;

use calls::Http;
use id_token::Expected;
use keys::KeyCache;
use metadata::{Metadata, MetadataCache};

/// Requests that ask the issuer at a time; more wait, as long as a request's calls may take.
const REQUESTS_MAX: usize = 16;
/// Requests that wait; more are told to come later.
const REQUESTS_WAITING_MAX: usize = 64;

/// The issuer, as this service asks it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ExternalIssuer(Arc<Shared>);

struct Shared {
    settings: ExternalIssuerSettings,
    http: Http,
    metadata: MetadataCache,
    keys: KeyCache,
    /// Requests that ask the issuer. Whoever waits for another one's call to read metadata or keys has a permit, too.
    requests: Bulkhead,
    clock: Clock,
}

/// What keeps the issuer from saying who somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IssuerError {
    /// It cannot be asked just now, or gives no answer that could be read.
    #[error("the issuer {0}")]
    Unavailable(&'static str),
    /// It does not take the code, or what it says is not good.
    #[error("the issuer's answer is refused: {0}")]
    Refused(&'static str),
    /// The answer that the browser brought is another issuer's.
    #[error("the answer is another issuer's")]
    OtherIssuer,
}

/// The secrets of a flow that begins.
pub(crate) struct FlowSecrets {
    /// Comes back from the issuer.
    pub(crate) state: OpaqueToken,
    /// Stays with the browser.
    pub(crate) browser: OpaqueToken,
}

impl FlowSecrets {
    pub(crate) fn generate() -> Self {
        Self { state: OpaqueToken::generate(), browser: OpaqueToken::generate() }
    }
}

/// A flow's secrets as they are shown when the browser is back.
pub(crate) struct ShownFlow {
    pub(crate) state: OpaqueHash,
    pub(crate) browser: OpaqueHash,
}

/// What a flow is looked up by.
pub(crate) fn shown_flow(state: &Secret<String>, browser: &Secret<String>) -> ShownFlow {
    ShownFlow { state: opaque::hash(state.expose()), browser: opaque::hash(browser.expose()) }
}

impl ExternalIssuer {
    /// The issuer of the settings; none where they name none. Opens nothing.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub(crate) fn new(
        settings: &ExternalIssuerSettings,
        clock: Clock,
    ) -> Result<Option<Self>, reqwest::Error> {
        if !settings.is_on() {
            return Ok(None);
        }
        let http = Http::new(settings.timeout, settings.is_encrypted())?;
        let metadata = MetadataCache::default();
        let keys = KeyCache::default();
        let requests = Bulkhead::with_queue(REQUESTS_MAX, REQUESTS_WAITING_MAX);
        let settings = settings.clone();
        Ok(Some(Self(Arc::new(Shared { settings, http, metadata, keys, requests, clock }))))
    }

    /// How the issuer names itself.
    pub(crate) fn name(&self) -> &str {
        &self.0.settings.url
    }

    /// Where the browser goes to sign in at the issuer.
    ///
    /// # Errors
    /// [`IssuerError::Unavailable`] while nothing is known of the issuer and it does not answer.
    pub(crate) async fn authorization_url(
        &self,
        secrets: &FlowSecrets,
    ) -> Result<String, IssuerError> {
        let url = async {
            let metadata = self.metadata().await?;
            let browser = secrets.browser.expose();
            let request: [(&str, &str); 8] = [
                ("response_type", "code"),
                ("client_id", &self.0.settings.client_id),
                ("redirect_uri", &self.0.settings.redirect_uri),
                ("scope", &self.0.settings.scopes.join(" ")),
                ("state", secrets.state.expose()),
                ("nonce", &nonce(browser)),
                ("code_challenge", &challenge(&verifier(browser))),
                ("code_challenge_method", "S256"),
            ];
            let mut url = metadata.authorization_endpoint.clone();
            url.query_pairs_mut().extend_pairs(request);
            Ok(url.into())
        };
        self.in_time(url).await
    }

    /// Whom the issuer says that its code is about. `issuer` is what stands beside the code in the browser's
    /// answer.
    ///
    /// # Errors
    /// Any [`IssuerError`]; the code may be used up in each case.
    pub(crate) async fn identify(
        &self,
        code: &Secret<String>,
        issuer: Option<&str>,
        browser: &Secret<String>,
    ) -> Result<Identity, IssuerError> {
        let identity = async {
            let metadata = self.metadata().await?;
            let is_asked = metadata.sends_issuer || issuer.is_some();
            if is_asked && issuer != Some(self.name()) {
                return Err(IssuerError::OtherIssuer);
            }
            let shown = (code.expose().as_str(), verifier(browser.expose()));
            let (http, settings) = (&self.0.http, &self.0.settings);
            // Before the code is used up: after that there is no coming again with it.
            self.0.keys.refresh(http, &metadata.jwks_uri).await?;
            let token = token_endpoint::exchange(http, &metadata, settings, shown).await?;
            let (header, key_id) = id_token::header(token.expose())?;
            let keys = (&self.0.http, &metadata.jwks_uri);
            let key = self.0.keys.key(keys, &key_id, header).await?;
            let expected = Expected {
                issuer: self.name(),
                client_id: &self.0.settings.client_id,
                nonce: &nonce(browser.expose()),
                now: self.0.clock.now(),
            };
            id_token::verified(token.expose(), (header, &key), &expected)
        };
        self.in_time(identity).await
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, IssuerError> {
        let Shared { metadata, http, settings, .. } = &*self.0;
        metadata.get(http, &settings.url).await
    }

    /// All that is asked of the issuer for one request has one time limit.
    async fn in_time<T>(
        &self,
        asked: impl Future<Output = Result<T, IssuerError>>,
    ) -> Result<T, IssuerError> {
        let timeout: Duration = self.0.settings.timeout;
        let asked = async {
            let full = |_| IssuerError::Unavailable("is asked too much at a time");
            let _permit = self.0.requests.acquire().await.map_err(full)?;
            asked.await
        };
        let asked = tokio::time::timeout(timeout, asked).await;
        asked.unwrap_or(Err(IssuerError::Unavailable("does not answer in time")))
    }
}

/// The verifier of PKCE (RFC 7636) of whoever has a browser secret.
fn verifier(browser: &str) -> String {
    derived("code verifier", browser)
}

/// What the issuer is told of a verifier before it is shown one (`S256`).
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(opaque::hash(verifier))
}

/// What the issuer repeats in the ID token for whoever has a browser secret.
fn nonce(browser: &str) -> String {
    derived("nonce", browser)
}

/// 43 characters, of which nobody learns the secret, nor from one the other.
fn derived(purpose: &str, secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(opaque::hash(&format!("{purpose}\0{secret}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_that_of_the_standard_and_tells_nothing_of_what_it_is_made_of() {
        // RFC 7636, appendix B.
        let verified = challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(verified, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        let secret = OpaqueToken::generate();
        let made = [verifier(secret.expose()), nonce(secret.expose()), secret.expose().to_owned()];
        let [verifier, nonce, secret] = &made;
        assert!(verifier != nonce && nonce != secret && challenge(verifier) != *nonce);
        assert!(made.iter().all(|one| one.len() == 43));
    }
}
