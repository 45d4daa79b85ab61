//! The ID token (OpenID Connect Core, section 3.1.3.7): what it has to say before it is believed.

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;

use super::IssuerError;
use super::IssuerError::Refused;

/// How it may be signed: with a key of which the public half is known, never with a shared secret, never not at all.
const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];
/// Clocks of two machines may differ by this much.
const LEEWAY: TimeDelta = TimeDelta::seconds(60);
/// How old it may be: it comes straight from the issuer.
const AGE_MAX: TimeDelta = TimeDelta::minutes(10);
/// The longest, in bytes.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// The longest name of somebody at an issuer (OpenID Connect Core, section 2).
const SUBJECT_CHARS_MAX: usize = 255;

/// Who somebody is at the issuer. Not shown by Debug.
pub(crate) struct Identity {
    /// The issuer's own name for the account.
    pub(crate) subject: String,
    /// The address, if the issuer knows that the account's owner reads what comes there.
    pub(crate) proven_email: Option<String>,
    /// How to call the owner.
    pub(crate) name: Option<String>,
}

/// What has to stand in it.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    nonce: Option<String>,
    email: Option<String>,
    email_verified: Option<Value>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(all) => all,
        }
    }
}

/// How a token says that it is signed, and the id of the key: looked at before any key is.
pub(super) fn header(token: &str) -> Result<(Algorithm, String), IssuerError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refused("its ID token is too long"));
    }
    // `none` is no algorithm to the library, and so no header.
    let header = jsonwebtoken::decode_header(token);
    let header = header.map_err(|_| Refused("its ID token is none, or not signed"))?;
    // We understand no extension that could be critical (RFC 7515 §4.1.11).
    if !ALGORITHMS.contains(&header.alg) || header.crit.is_some() {
        return Err(Refused("its ID token is signed in a way that is not allowed"));
    }
    Ok((header.alg, header.kid.ok_or(Refused("its ID token names no key"))?))
}

/// Whom a token is about that the key has signed and that says what is expected.
pub(super) fn verified(
    token: &str,
    (algorithm, key): (Algorithm, &DecodingKey),
    expected: &Expected<'_>,
) -> Result<Identity, IssuerError> {
    let mut validation = Validation::new(algorithm);
    // All claims are looked at below, against a clock that tests control.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let claims = jsonwebtoken::decode::<Claims>(token, key, &validation);
    let claims = claims.map_err(|_| Refused("its ID token is not what its key has signed"))?.claims;
    check(&claims, expected).map_err(Refused)?;
    let Claims { sub, email, email_verified, name, .. } = claims;
    let is_proven = email_verified == Some(Value::Bool(true));
    Ok(Identity { subject: sub, proven_email: email.filter(|_| is_proven), name })
}

fn check(claims: &Claims, expected: &Expected<'_>) -> Result<(), &'static str> {
    let unless = |fits, reason| if fits { Ok(()) } else { Err(reason) };
    let audience = claims.aud.all();
    let is_for_us = audience.iter().any(|one| one == expected.client_id);
    // What others are meant by too is ours only if it says that it was made for us.
    let is_made_for_us = match &claims.azp {
        Some(party) => party == expected.client_id,
        None => audience.len() == 1,
    };
    let seconds = |at: DateTime<Utc>| at.timestamp();
    let latest = seconds(expected.now + LEEWAY);
    unless(claims.iss == expected.issuer, "its ID token is another issuer's")?;
    unless(is_for_us, "its ID token is for another client")?;
    unless(is_made_for_us, "its ID token was made for another client")?;
    unless(claims.exp > seconds(expected.now - LEEWAY), "its ID token has expired")?;
    unless(claims.iat > seconds(expected.now - AGE_MAX - LEEWAY), "its ID token is old")?;
    let is_begun = claims.iat <= latest && claims.nbf.is_none_or(|nbf| nbf <= latest);
    unless(is_begun, "its ID token is not valid yet")?;
    let is_answer = claims.nonce.as_deref() == Some(expected.nonce);
    unless(is_answer, "its ID token answers another request")?;
    let subject = &claims.sub;
    let is_subject = (1..=SUBJECT_CHARS_MAX).contains(&subject.len())
        && subject.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    unless(is_subject, "its ID token names nobody")
}
