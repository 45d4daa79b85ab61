//! The headers of a request that may be repeated: `Idempotency-Key` and `Prefer: wait`.
//!
//! Sources: the IETF draft "The Idempotency-Key HTTP Header Field", and RFC 7240 §4.3.

use std::time::Duration;

use axum::extract::FromRequestParts;
use chassis::Problem;
use http::request::Parts;

/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;
/// How long an answer is waited for when the caller does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(5);
/// How long a caller may have it waited for.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The caller's key. Missing, empty or too long: 400.
#[derive(Debug)]
pub(crate) struct IdempotencyKey(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let value = parts.headers.get("idempotency-key");
        let key = value.and_then(|value| value.to_str().ok()).map(str::trim);
        let key = key.filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
        key.map(|key| Self(key.to_owned())).ok_or_else(|| {
            Problem::bad_request(
                "send an Idempotency-Key of 1 to 255 characters: a new one for a \
                                  new payment, the same one to ask again",
            )
        })
    }
}

/// How long to wait for the outcome: `Prefer: wait=N`, in seconds, up to 30; 5 when not given. A
/// preference that is not understood is ignored, as the standard asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait(pub(crate) Duration);

impl<S: Sync> FromRequestParts<S> for Wait {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let preferences = parts.headers.get_all("prefer").iter();
        let preferences = preferences.filter_map(|value| value.to_str().ok());
        let mut seconds = preferences
            .flat_map(|value| value.split([',', ';']))
            .filter_map(|preference| preference.trim().strip_prefix("wait=")?.parse().ok());
        Ok(Self(seconds.next().map_or(WAIT_DEFAULT, |s| Duration::from_secs(s).min(WAIT_MAX))))
    }
}
