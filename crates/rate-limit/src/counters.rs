//! Where requests and tries are counted: in Redis, by one round trip that has a short time limit, for all replicas
//! together; while Redis is away or slow, in this process alone. Nothing is refused because of that.
//! What this process admits it counts itself too, so that it begins with that when Redis goes, and a
//! Redis that comes and goes gives nobody more than a steady one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache::{FromRedisValue, ServiceCache};
use prometheus::IntGauge;
use tokio::time::{Instant, timeout};

use crate::backoff::{Curve, Decision};
use crate::cells::Cells;
use crate::gcra::{Quota, Reading, micros};
use crate::metrics;

const COUNT: &str = include_str!("scripts/count.lua");
const ATTEMPT: &str = include_str!("scripts/attempt.lua");
const SUCCEED: &str = include_str!("scripts/succeed.lua");
const UNDO: &str = include_str!("scripts/undo.lua");

/// How long Redis is not asked once it did not answer; then one request tries it.
const OUTAGE_DELAY: Duration = Duration::from_secs(1);

pub(crate) struct Counters {
    cache: ServiceCache,
    /// Longest wait for Redis.
    wait: Duration,
    /// Until when Redis is not asked; none while it answers.
    paused_until: Mutex<Option<Instant>>,
    shared: IntGauge,
    cells: Mutex<Cells>,
    /// The beginning of the clock that `cells` go by.
    began: Instant,
}

impl Counters {
    pub(crate) fn new(service: &str, cache: ServiceCache, wait: Duration) -> Self {
        let shared = metrics::shared(service);
        shared.set(1);
        let (paused_until, cells) = (Mutex::default(), Mutex::default());
        Self { cache, wait, paused_until, shared, cells, began: Instant::now() }
    }

    /// Counts a request against all quotas, or against none when one of them is used up.
    pub(crate) async fn count(&self, cells: &[(String, Quota)]) -> Vec<Reading> {
        let (keys, quotas): (Vec<String>, Vec<Quota>) = cells.iter().cloned().unzip();
        let arguments: Vec<u64> =
            quotas.iter().flat_map(|quota| [quota.interval(), quota.window()]).collect();
        let shared = self.run::<Vec<u64>>(COUNT, &keys, &arguments).await;
        let shared = shared.map(|numbers| numbers.chunks_exact(3).map(reading).collect::<Vec<_>>());
        let is_refused = |readings: &[Reading]| readings.iter().any(|it| !it.wait.is_zero());
        match shared {
            Some(readings) if is_refused(&readings) => readings,
            shared => {
                let own = locked(&self.cells).count(cells, self.now());
                shared.unwrap_or(own)
            }
        }
    }

    /// Decides on a try of a back-off, and counts it as a failure until it is told otherwise.
    pub(crate) async fn attempt(&self, keys: &[String; 3], curve: &Curve) -> Decision {
        let Curve { free, first, longest, forget_after, account } = *curve;
        let interval = account.interval();
        let window = account.window();
        let forget = forget_after.div_ceil(1_000).max(1);
        let arguments = [u64::from(free), first, longest, interval, window, forget];
        match self.run::<(u8, u64, u32)>(ATTEMPT, keys, &arguments).await {
            Some((0, _, failures)) => {
                locked(&self.cells).note_attempt(keys, curve, failures, self.now());
                Decision::Admitted { failures }
            }
            Some((1, wait, failures)) => Decision::blocked(wait, failures),
            Some((_, wait, _)) => Decision::AccountBlocked { wait: Duration::from_micros(wait) },
            None => locked(&self.cells).attempt(keys, curve, self.now()),
        }
    }

    /// A try succeeded: its failures are forgotten, and the address is known for `micros`.
    pub(crate) async fn succeed(&self, keys: &[String; 3], micros: u64) {
        let known_for = micros.div_ceil(1_000).max(1);
        locked(&self.cells).succeed(keys, micros, self.now());
        self.run::<u8>(SUCCEED, keys, &[known_for]).await;
    }

    /// A try came to nothing: it counts no longer.
    pub(crate) async fn undo(&self, keys: &[String; 3], curve: &Curve) {
        locked(&self.cells).undo(keys, curve, self.now());
        self.run::<u8>(UNDO, keys, &[curve.account.interval()]).await;
    }

    /// Runs a script; none when Redis is away or slow.
    async fn run<T: FromRedisValue>(
        &self,
        script: &str,
        keys: &[String],
        arguments: &[u64],
    ) -> Option<T> {
        if !self.may_ask() {
            return None;
        }
        let ran = timeout(self.wait, self.cache.eval(script, keys, arguments)).await;
        let ran = ran.map_err(|_| "timed out").and_then(|ran| ran.map_err(|error| error.kind()));
        self.note(ran.as_ref().err().copied());
        ran.ok()
    }

    /// Whether Redis answers as far as is known, or it is this caller's turn to try.
    fn may_ask(&self) -> bool {
        let mut paused_until = locked(&self.paused_until);
        match *paused_until {
            Some(until) if Instant::now() < until => false,
            Some(_) => {
                *paused_until = Some(Instant::now() + OUTAGE_DELAY);
                true
            }
            None => true,
        }
    }

    /// Says once that Redis went, and once that it is back.
    fn note(&self, fault: Option<&'static str>) {
        let paused_until = fault.map(|_| Instant::now() + OUTAGE_DELAY);
        let before = std::mem::replace(&mut *locked(&self.paused_until), paused_until);
        match (before, fault) {
            (None, Some(fault)) => {
                self.shared.set(0);
                tracing::warn!(
                    error.type = fault,
                    "redis does not answer in time: this replica counts rate limits alone"
                );
            }
            (Some(_), None) => {
                self.shared.set(1);
                tracing::info!("redis answers again: replicas count rate limits together");
            }
            _ => {}
        }
    }

    /// Microseconds of the process's own clock.
    fn now(&self) -> u64 {
        micros(self.began.elapsed())
    }
}

fn reading(numbers: &[u64]) -> Reading {
    let number = |place: usize| numbers.get(place).copied().unwrap_or_default();
    Reading {
        wait: Duration::from_micros(number(0)),
        remaining: u32::try_from(number(1)).unwrap_or(u32::MAX),
        full_in: Duration::from_micros(number(2)),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
