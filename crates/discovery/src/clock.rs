//! Points in time as numbers, so that atomics hold them.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

/// Somewhat before the first asking: threads of which each has a clock of its own, as tests do,
/// are not in order.
static START: LazyLock<Instant> = LazyLock::new(|| {
    let now = Instant::now();
    now.checked_sub(Duration::from_secs(3600)).unwrap_or(now)
});

/// Now, as [`nanos`].
pub(crate) fn now() -> u64 {
    nanos(Instant::now())
}

/// Nanoseconds since a point before the process first asked for any; never 0, which stands for
/// "not yet".
pub(crate) fn nanos(at: Instant) -> u64 {
    let since = at.saturating_duration_since(*START);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).max(1)
}

/// The point in time that [`nanos`] gave; none for 0.
pub(crate) fn instant(nanos: u64) -> Option<Instant> {
    (nanos > 0).then(|| *START + Duration::from_nanos(nanos))
}
