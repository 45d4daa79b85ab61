//! What the active checks of an endpoint found, and when the next one is due.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};

use tokio::time::Instant;

use crate::clock::{AtomicTime, Time};
use crate::{Health, LoadBalancingSettings};

/// One check of an endpoint runs at a time.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    health: AtomicU8,
    last: AtomicTime,
    /// None: at once.
    next: AtomicTime,
    is_running: AtomicBool,
    /// Answers in a row that say otherwise than `health`.
    streak: AtomicU32,
    /// Whether the last one failed.
    failed: AtomicBool,
}

const HEALTHY: u8 = 1;
const UNHEALTHY: u8 = 2;

impl Checks {
    pub(crate) fn health(&self) -> Health {
        match self.health.load(Relaxed) {
            HEALTHY => Health::Healthy,
            UNHEALTHY => Health::Unhealthy,
            _ => Health::Unknown,
        }
    }

    pub(crate) fn last(&self) -> Option<Instant> {
        self.last.load().map(Time::instant)
    }

    /// Whether the last check failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// When the next one is due; none while one runs. Before all others comes one that is due at once.
    pub(crate) fn due(&self) -> Option<Due> {
        (!self.is_running.load(Relaxed)).then(|| self.next.load().map_or(Due::AtOnce, Due::At))
    }

    pub(crate) fn begin(&self) {
        self.is_running.store(true, Relaxed);
        // Whoever wants another one meanwhile asks for an earlier time than this.
        self.next.store(Some(Time::now().after(FAR)));
    }

    /// The check has ended, and the next one is due at `next`, unless somebody asked for an earlier one.
    pub(crate) fn end(&self, next: Time) {
        self.hasten(next);
        self.is_running.store(false, Relaxed);
    }

    /// The next one is due at `time` at the latest.
    pub(crate) fn hasten(&self, time: Time) {
        if self.next.load().is_some_and(|next| next > time) {
            self.next.store(Some(time));
        }
    }

    /// What was found so far says nothing any more.
    pub(crate) fn reset(&self) {
        self.next.store(None);
        self.streak.store(0, Relaxed);
        self.failed.store(false, Relaxed);
        self.health.store(0, Relaxed);
    }

    /// Notes a check's outcome; gives the health when that changed it.
    pub(crate) fn note(&self, success: bool, settings: &LoadBalancingSettings) -> Option<Health> {
        self.last.store(Some(Time::now()));
        self.failed.store(!success, Relaxed);
        let before = self.health();
        let (after, value, threshold) = match (success, before) {
            // The first success is enough: nothing speaks against it.
            (true, Health::Unknown) => (Health::Healthy, HEALTHY, 1),
            (true, _) => (Health::Healthy, HEALTHY, settings.healthy_threshold),
            (false, _) => (Health::Unhealthy, UNHEALTHY, settings.unhealthy_threshold),
        };
        let streak = if before == after { 0 } else { self.streak.load(Relaxed) + 1 };
        let is_reached = streak > 0 && streak >= threshold;
        self.streak.store(if is_reached { 0 } else { streak }, Relaxed);
        is_reached.then(|| {
            self.health.store(value, Relaxed);
            after
        })
    }
}

/// Longer than any interval of checks.
const FAR: std::time::Duration = std::time::Duration::from_hours(24 * 365);

/// When a check is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    AtOnce,
    At(Time),
}
