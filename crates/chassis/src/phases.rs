//! How the time from SIGTERM to the end of the process is shared.
//!
//! ```text
//! SIGTERM                                                                         grace_period
//!   ├──── hooks ────┬─ drain_delay ─┬──────── requests ────────┬──── tasks ────┬─ telemetry ─┤
//!   0 %              15 %                                       60 %            90 %       100 %
//! ```
//!
//! The percentages are of `grace_period` less `drain_delay`. Each phase ends when its work is done;
//! what it leaves goes to those after it. None can take theirs: a connection that stalls does not
//! cost the tasks their time to finish a charge, nor the telemetry the spans of it.

use std::time::Duration;

use tokio::time::Instant;

use crate::ServerSettings;

/// Where lifecycle hooks are through by, in percent.
const LIFECYCLE_HOOKS: u32 = 15;
/// Where requests are answered by.
const REQUESTS: u32 = 60;
/// Where tasks have ended by; what is left is telemetry's.
const TASKS: u32 = 90;

/// When each phase ends at the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Phases {
    pub(crate) lifecycle_hooks: Instant,
    pub(crate) requests: Instant,
    pub(crate) tasks: Instant,
}

impl Phases {
    /// Those of a stop that begins now.
    pub(crate) fn begin(settings: &ServerSettings) -> Self {
        let now = Instant::now();
        let delay = settings.drain_delay.min(settings.grace_period);
        Self {
            lifecycle_hooks: now + share(settings, LIFECYCLE_HOOKS),
            requests: now + delay + share(settings, REQUESTS),
            tasks: now + delay + share(settings, TASKS),
        }
    }
}

/// What requests have at least.
pub(crate) fn requests(settings: &ServerSettings) -> Duration {
    share(settings, REQUESTS - LIFECYCLE_HOOKS)
}

/// What telemetry has at least, to send what it holds once all else has ended.
pub(crate) fn telemetry(settings: &ServerSettings) -> Duration {
    share(settings, 100 - TASKS)
}

fn share(settings: &ServerSettings, percent: u32) -> Duration {
    settings.grace_period.saturating_sub(settings.drain_delay) * percent / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_phases_add_up_to_the_grace_period() {
        let settings = ServerSettings {
            grace_period: Duration::from_secs(25),
            drain_delay: Duration::from_secs(5),
            ..ServerSettings::on_a_free_port()
        };
        let phases = Phases::begin(&settings);
        let after = |at: Instant| (at - Instant::now()).as_secs();
        assert_eq!(after(phases.lifecycle_hooks), 3);
        assert_eq!(after(phases.requests), 17);
        assert_eq!(after(phases.tasks), 23);
        assert_eq!(after(phases.tasks) + telemetry(&settings).as_secs(), 25);
        assert_eq!(requests(&settings), Duration::from_secs(9));
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_delay_as_long_as_the_grace_period_leaves_nothing_and_overruns_nothing() {
        let time = Duration::from_secs(5);
        let settings = ServerSettings {
            grace_period: time,
            drain_delay: time * 2,
            ..ServerSettings::on_a_free_port()
        };
        assert_eq!(Phases::begin(&settings).tasks - Instant::now(), time);
    }
}
