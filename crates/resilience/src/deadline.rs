//! Deadlines: how much time a piece of work has left, passed on from caller to callee.
//!
//! The header carries *remaining milliseconds*, not a point in time: clocks of two machines differ.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

/// Remaining milliseconds, as a decimal number.
pub const HEADER: HeaderName = HeaderName::from_static("x-deadline-ms");
/// A caller that asks for more than this gets this: one hour.
const MILLISECONDS_MAX: u64 = 3_600_000;

/// The moment by which work must be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline this long from now; an hour at most.
    pub fn within(time: Duration) -> Self {
        Self(Instant::now() + time.min(Duration::from_millis(MILLISECONDS_MAX)))
    }

    /// The caller's deadline. None when the header is missing or is no decimal number.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(HEADER)?.to_str().ok()?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // More digits than fit are a very long time, which is bounded like any other.
        let millis = digits.then(|| text.parse().unwrap_or(MILLISECONDS_MAX))?;
        Some(Self::within(Duration::from_millis(millis)))
    }

    /// What is left; none once it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// The earlier of two.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        self.min(other)
    }

    /// The moment itself, for `tokio::time::timeout_at`.
    pub fn instant(&self) -> Instant {
        self.0
    }

    /// Tells the callee what is left; zero once it has passed.
    pub fn inject(&self, headers: &mut HeaderMap) {
        let millis = self.remaining().unwrap_or_default().as_millis();
        let millis = u64::try_from(millis).unwrap_or(MILLISECONDS_MAX);
        headers.insert(HEADER, HeaderValue::from(millis));
    }
}

#[cfg(test)]
#[cfg(not(loom_resilience))]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(HEADER, HeaderValue::from_str(value).unwrap())])
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_shrinks_and_ends() {
        let deadline = Deadline::within(Duration::from_secs(2));
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!(deadline.remaining(), Some(Duration::from_millis(500)));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(deadline.remaining(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_header_carries_what_is_left() {
        let mut sent = HeaderMap::new();
        Deadline::within(Duration::from_millis(250)).inject(&mut sent);
        assert_eq!(sent[HEADER], "250");
        let received = Deadline::from_headers(&sent).unwrap();
        assert_eq!(received.remaining(), Some(Duration::from_millis(250)));
    }

    #[tokio::test(start_paused = true)]
    async fn nonsense_is_no_deadline_and_a_huge_one_is_bounded() {
        for nonsense in ["", "-5", "1.5", "soon", "+3"] {
            assert_eq!(Deadline::from_headers(&headers(nonsense)), None, "{nonsense}");
        }
        let huge = Deadline::from_headers(&headers("99999999999999999999999")).unwrap();
        assert_eq!(huge.remaining(), Some(Duration::from_secs(3600)));
    }
}
