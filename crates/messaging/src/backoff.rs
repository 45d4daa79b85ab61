//! How long messaging waits before it tries again what the outside refused. All endless, growing,
//! and jittered, so that many instances do not come back at the same moment.

use std::time::Duration;

use resilience::retry::RetrySettings;

pub(crate) use resilience::retry::Backoff;

/// Before another try to connect, or to open a channel. Its longest delay is what a broker that is
/// back waits for us at most.
pub(crate) fn reconnect() -> Backoff {
    growing(Duration::from_millis(200), Duration::from_secs(3))
}

/// Before another pass of the relay, or another try to hand a message on, after a failure.
pub(crate) fn again() -> Backoff {
    growing(Duration::from_millis(100), Duration::from_secs(5))
}

/// Before another probe of what a paused consumer found unavailable.
pub(crate) fn paused(longest: Duration) -> Backoff {
    let longest = longest.max(Duration::from_millis(100));
    growing(Duration::from_millis(500).min(longest), longest)
}

fn growing(initial_backoff: Duration, max_backoff: Duration) -> Backoff {
    Backoff::new(&RetrySettings {
        max_attempts: u32::MAX,
        backoff_multiplier: 2.0,
        max_backoff,
        initial_backoff,
        ..Default::default()
    })
}
