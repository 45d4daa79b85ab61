//! How long a caller waits for an outcome: `Prefer: wait=N` (RFC 7240 §4.3).

use std::time::Duration;

use axum::extract::FromRequestParts;
use http::request::Parts;

/// How long an answer is waited for when the caller does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(5);
/// How long a caller may have it waited for.
const WAIT_MAX: Duration = Duration::from_secs(30);

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
