//! How long a caller waits for an outcome: `Prefer: wait=N` (RFC 7240 §4.3).

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

/// How long an answer is waited for when the caller does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(5);

/// What the caller prefers: `Prefer: wait=N`, in seconds; none when not given. A preference that is
/// not understood is ignored, as the standard asks; of several the first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait(Option<u64>);

/// What is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Granted {
    /// How long the outcome is waited for.
    pub(crate) time: Duration,
    /// In seconds, when the caller has asked.
    said: Option<u64>,
}

impl Wait {
    fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        Self(lines.flat_map(|line| line.split(',')).find_map(seconds))
    }

    /// What can be granted of it in the time that there is: whole seconds, so that what is said is
    /// what is done.
    pub(crate) fn within(self, left: Duration) -> Granted {
        let said = self.0.map(|asked| asked.min(left.as_secs()));
        Granted { time: said.map_or(WAIT_DEFAULT.min(left), Duration::from_secs), said }
    }
}

impl Granted {
    /// `Preference-Applied: wait=N`, to whoever has asked.
    pub(crate) fn header(self) -> Option<(HeaderName, HeaderValue)> {
        let value = HeaderValue::try_from(format!("wait={}", self.said?)).ok()?;
        Some((HeaderName::from_static("preference-applied"), value))
    }
}

/// The seconds in a preference, which has its own parameters behind semicolons.
fn seconds(preference: &str) -> Option<u64> {
    let (name, value) = preference.split(';').next()?.split_once('=')?;
    let value = value.trim();
    let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let is_wait = name.trim().eq_ignore_ascii_case("wait");
    let is_number = bare.bytes().all(|byte| byte.is_ascii_digit());
    // What does not fit is longer than anything that is granted.
    (is_wait && is_number && !bare.is_empty()).then(|| bare.parse().unwrap_or(u64::MAX))
}

impl<S: Sync> FromRequestParts<S> for Wait {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(lines: &[&str]) -> Wait {
        let line = |line: &&str| ("prefer".parse().unwrap(), line.parse().unwrap());
        Wait::of(&lines.iter().map(line).collect::<Vec<_>>().into_iter().collect())
    }

    #[test]
    fn the_first_preference_for_a_wait_counts_and_what_is_none_is_ignored() {
        for (lines, seconds) in [
            (&["wait=3"][..], Some(3)),
            (&["Wait = \"3\""], Some(3)),
            (&["respond-async, wait=3; x=1"], Some(3)),
            (&["respond-async", "wait=3", "wait=4"], Some(3)),
            (&["wait=3, wait=4"], Some(3)),
            (&["wait=0"], Some(0)),
            (&["wait=18446744073709551616"], Some(u64::MAX)),
            (&["wait="], None),
            (&[], None),
            (&["wait"], None),
            (&["wait=soon"], None),
            (&["wait=-1"], None),
            (&["wait=+1"], None),
            (&["wait=1.5"], None),
            (&["waiting=3"], None),
            (&["respond-async; wait=3"], None),
        ] {
            assert_eq!(wait(lines), Wait(seconds), "{lines:?}");
        }
    }

    #[test]
    fn what_is_granted_is_said_and_is_no_more_than_there_is() {
        let left = Duration::from_millis(9_500);
        for (asked, time, said) in [
            (&["wait=3"][..], Duration::from_secs(3), Some("wait=3")),
            (&["wait=30"], Duration::from_secs(9), Some("wait=9")),
            (&["wait=0"], Duration::ZERO, Some("wait=0")),
            (&[], WAIT_DEFAULT, None),
        ] {
            let granted = wait(asked).within(left);
            assert_eq!(granted.time, time, "{asked:?}");
            let header = granted.header().map(|(_, value)| value);
            assert_eq!(header.as_ref().map(|value| value.to_str().unwrap()), said, "{asked:?}");
        }
        assert_eq!(wait(&[]).within(Duration::from_secs(2)).time, Duration::from_secs(2));
    }
}
