//! The exchange of a code for an ID token (RFC 6749, section 4.1.3, with the verifier of RFC 7636).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::{Serializer, byte_serialize};
use http::HeaderValue;
use serde::Deserialize;
use tusk_config::Secret;

use super::IssuerError::{self, Refused, Unavailable};
use super::calls::Http;
use super::metadata::Metadata;
use super::settings::ExternalIssuerSettings;

/// What is not to be believed of a code: it was used, its time is up, or it is another's; or it is no code at all,
/// which is all that a browser can make wrong of the request.
const WRONG_CODE: [&str; 2] = ["invalid_grant", "invalid_request"];

/// What it answers, as far as it is used: the access token is not.
#[derive(Deserialize)]
struct Answer {
    id_token: Option<Secret<String>>,
}

/// What it answers instead (section 5.2).
#[derive(Deserialize)]
struct Fault {
    error: String,
}

/// The ID token for a code and the verifier of whoever asked for the code.
pub(super) async fn exchange(
    http: &Http,
    metadata: &Metadata,
    settings: &ExternalIssuerSettings,
    (code, verifier): (&str, String),
) -> Result<Secret<String>, IssuerError> {
    let exchanged: [(&str, &str); 4] = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &settings.redirect_uri),
        ("code_verifier", &verifier),
    ];
    let id = &settings.client_id;
    let secret = settings.client_secret.expose();
    // A public client names itself alone.
    let (proof, client) = match (secret.as_str(), metadata.takes_basic) {
        ("", _) => (None, vec![("client_id", id.as_str())]),
        (secret, true) => (Some(basic(id, secret)?), Vec::new()),
        (secret, false) => (None, vec![("client_id", id.as_str()), ("client_secret", secret)]),
    };
    let form = Serializer::new(String::new()).extend_pairs(exchanged).extend_pairs(client).finish();
    let answer = http.post(&metadata.token_endpoint, proof, form).await?;
    let unreadable = |_| Unavailable("gives no answer that can be read");
    if answer.status.is_success() {
        let answer: Answer = serde_json::from_slice(&answer.body).map_err(unreadable)?;
        return answer.id_token.ok_or(Refused("it gives no ID token"));
    }
    if !answer.status.is_client_error() {
        return Err(Unavailable("fails"));
    }
    let fault: Fault = serde_json::from_slice(&answer.body).map_err(unreadable)?;
    if WRONG_CODE.contains(&fault.error.as_str()) {
        return Err(Refused("it does not take the code"));
    }
    // Of another client, or another way to prove which: nothing that a browser could mend.
    Err(Unavailable("does not take this service for its client"))
}

/// Id and secret of a client (section 2.3.1), marked so that no Debug output shows them.
fn basic(id: &str, secret: &str) -> Result<HeaderValue, IssuerError> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let both = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
    let mut header = HeaderValue::try_from(format!("Basic {both}"))
        .map_err(|_| Unavailable("does not take this service for its client"))?;
    header.set_sensitive(true);
    Ok(header)
}
