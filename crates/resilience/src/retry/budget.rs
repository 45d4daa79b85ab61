//! The retry budget: calls earn retries for each other, so that a target that fails gets a little
//! more load, never a multiple of it.
//!
//! ```text
//!   deposit ─▶ a counter of the thread's own ─┐
//!   deposit ─▶ a counter of the thread's own ─┼─ withdraw gathers them ─▶ balance ─▶ one retry
//!   time    ─▶ a small reserve ───────────────┘                           └─▶ fades in seconds
//! ```
//!
//! What is earned fades exponentially, to a third within ten seconds. So about ten seconds' earnings
//! can be spent at once, whether that is ten retries of a quiet service or a thousand of a busy one:
//! an instance that dies takes all its calls in flight with it at the same moment, and each may be
//! repeated. A quiet hour saves up nothing. Over any time, no more is withdrawn than
//! `ratio × calls + per_second × (seconds + 10)`: the last ten are there at the start.
//!
//! A deposit is one addition to a counter of its thread: it reads no clock and takes no lock. A
//! withdrawal takes no lock either. Deposits since the last withdrawal count as though they had
//! come evenly.

#[cfg(test)]
#[cfg(loom_resilience)]
mod interleavings;
#[cfg(test)]
#[cfg(not(loom_resilience))]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use crate::stripes::Stripes;
use crate::sync::{AtomicU64, Ordering};

/// What calls and time earn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetSettings {
    /// Retries that one call earns, from 0 to 10; 0.1 allows one retry per ten calls.
    pub ratio: f64,
    /// Retries that one second earns, from 0 to 1,000,000: the reserve of a service with few calls.
    pub per_second: f64,
}

impl Default for BudgetSettings {
    /// One retry per ten calls, and one per second.
    fn default() -> Self {
        Self { ratio: 0.1, per_second: 1.0 }
    }
}

/// One retry in the unit of the balance.
const RETRY: f64 = 1_000.0;
/// The time in which a balance fades to 1/e.
const FADE: Duration = Duration::from_secs(10);
/// Time is counted in these: fading and the reserve are worked out no more often, so that rounding
/// them does not add up.
const TICK: Duration = Duration::from_millis(10);
/// The part of a packed balance that is its amount: 268,435 retries at most. The other 36 bits count
/// ticks for 21 years. A count that wraps sooner takes a long quiet time for a short one, in which
/// nothing fades.
const AMOUNT_BITS: u32 = 28;
const AMOUNT_MAX: u64 = (1 << AMOUNT_BITS) - 1;

/// A budget of one target, to be shared by all that call it.
#[derive(Debug)]
pub struct RetryBudget {
    ratio: f64,
    per_second: f64,
    created: Instant,
    /// Calls since the last withdrawal.
    deposits: Stripes<AtomicU64>,
    balance: AtomicU64,
    /// Withdrawals that there was nothing left for.
    refused: AtomicU64,
}

/// The balance at a moment: thousandths of a retry, and ticks since the budget was made.
#[derive(Debug, Clone, Copy)]
struct Balance {
    at: u64,
    amount: u64,
}

impl RetryBudget {
    /// A budget that starts with ten seconds' reserve.
    pub fn new(settings: &BudgetSettings) -> Self {
        let clean = |value: f64, max: f64| if value.is_nan() { 0.0 } else { value.clamp(0.0, max) };
        let per_second = clean(settings.per_second, 1e6);
        let first = Balance { at: 0, amount: units(per_second * FADE.as_secs_f64()) };
        Self {
            ratio: clean(settings.ratio, 10.0),
            per_second,
            created: Instant::now(),
            deposits: Stripes::default(),
            balance: AtomicU64::new(first.pack()),
            refused: AtomicU64::new(0),
        }
    }

    /// The retries that could be withdrawn now; for a gauge.
    pub fn balance(&self) -> f64 {
        let calls = self.deposits.iter().map(|calls| calls.load(Ordering::Relaxed)).sum();
        let balance = Balance::unpack(self.balance.load(Ordering::Acquire));
        self.grown(balance, self.now(), self.earned(calls)).retries()
    }

    /// What time alone earns: the balance of a target that nobody calls.
    pub fn reserve(&self) -> f64 {
        self.per_second * FADE.as_secs_f64()
    }

    /// The retries that there was nothing left for, since the beginning; for a counter.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        let ticks = self.created.elapsed().as_millis() / TICK.as_millis();
        u64::try_from(ticks).unwrap_or(u64::MAX).min(u64::MAX >> AMOUNT_BITS)
    }

    #[allow(clippy::cast_precision_loss, reason = "calls between two withdrawals")]
    fn earned(&self, calls: u64) -> f64 {
        calls as f64 * self.ratio
    }

    /// Takes the deposits that nobody has gathered yet.
    fn gather(&self) -> u64 {
        let waiting = self.deposits.iter().filter(|calls| calls.load(Ordering::Relaxed) > 0);
        waiting.map(|calls| calls.swap(0, Ordering::Relaxed)).sum()
    }

    /// The balance at `now`, with what calls and time have earned since.
    fn grown(&self, balance: Balance, now: u64, earned: f64) -> Balance {
        // Another thread's clock may be ahead by a little.
        let passed = TICK.as_secs_f64() * ticks(now.saturating_sub(balance.at));
        if passed == 0.0 {
            let amount = (balance.amount + units(earned)).min(AMOUNT_MAX);
            return Balance { amount, ..balance };
        }
        let age = passed / FADE.as_secs_f64();
        let left = (-age).exp();
        // What comes evenly over this time fades on the average by (1 - e^-age) / age.
        let even = (1.0 - left) / age;
        let reserve = self.per_second * passed;
        Balance { at: now, amount: units(balance.retries() * left + (earned + reserve) * even) }
    }

    /// Notes a call: it earns a part of a retry.
    #[inline]
    pub fn deposit(&self) {
        // Not by a load and a store, though no other thread deposits here: a withdrawal may be between.
        self.deposits.mine().fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one retry, if there is one.
    #[must_use]
    pub fn withdraw(&self) -> bool {
        let earned = self.earned(self.gather());
        let now = self.now();
        let mut old = self.balance.load(Ordering::Acquire);
        loop {
            let mut balance = self.grown(Balance::unpack(old), now, earned);
            let left = balance.amount.checked_sub(units(1.0));
            balance.amount = left.unwrap_or(balance.amount);
            let new = balance.pack();
            match self.balance.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    if left.is_none() {
                        self.refused.fetch_add(1, Ordering::Relaxed);
                    }
                    return left.is_some();
                }
                Err(now) => old = now,
            }
        }
    }
}

impl Balance {
    fn pack(self) -> u64 {
        (self.at << AMOUNT_BITS) | self.amount
    }

    fn unpack(word: u64) -> Self {
        Self { at: word >> AMOUNT_BITS, amount: word & AMOUNT_MAX }
    }

    #[allow(clippy::cast_precision_loss, reason = "28 bits")]
    fn retries(self) -> f64 {
        self.amount as f64 / RETRY
    }
}

#[allow(clippy::cast_precision_loss, reason = "36 bits")]
fn ticks(count: u64) -> f64 {
    count as f64
}

/// Retries in the unit of the balance, rounded down: a budget may give less, never more.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn units(retries: f64) -> u64 {
    ((retries * RETRY) as u64).min(AMOUNT_MAX)
}
