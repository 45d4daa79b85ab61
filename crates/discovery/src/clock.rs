//! Points in time that fit into an atomic.

use std::num::NonZeroU64;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Somewhat before the first asking: threads of which each has a clock of its own, as tests do,
/// are not in order.
static START: LazyLock<Instant> = LazyLock::new(|| {
    let now = Instant::now();
    now.checked_sub(Duration::from_secs(3600)).unwrap_or(now)
});

/// A point in time, in nanoseconds since a point before the process first asked for any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(NonZeroU64);

impl Time {
    pub(crate) fn now() -> Self {
        Instant::now().into()
    }

    /// Nanoseconds; 0 when `earlier` is later.
    pub(crate) fn nanos_since(self, earlier: Self) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }

    pub(crate) fn after(self, time: Duration) -> Self {
        (self.instant() + time).into()
    }

    pub(crate) fn instant(self) -> Instant {
        *START + Duration::from_nanos(self.0.get())
    }
}

impl From<Instant> for Time {
    fn from(at: Instant) -> Self {
        let nanos = at.saturating_duration_since(*START).as_nanos();
        Self(u64::try_from(nanos).ok().and_then(NonZeroU64::new).unwrap_or(NonZeroU64::MIN))
    }
}

/// A point in time that may not have come yet.
#[derive(Debug, Default)]
pub(crate) struct AtomicTime(AtomicU64);

impl AtomicTime {
    pub(crate) fn load(&self) -> Option<Time> {
        NonZeroU64::new(self.0.load(Ordering::Relaxed)).map(Time)
    }

    pub(crate) fn store(&self, time: Option<Time>) {
        self.0.store(time.map_or(0, |time| time.0.get()), Ordering::Relaxed);
    }
}
