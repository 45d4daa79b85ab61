//! Retry budgets, beside tower's.

use std::time::Duration;

use resilience::retry::budget::{BudgetSettings, RetryBudget};
use std::sync::atomic::{AtomicU64, Ordering};
use tower::retry::budget::{Budget, TpsBudget};

use crate::threads::{CALLS, Work, measure, print};

/// What each call that succeeds pays.
pub(crate) fn deposits() {
    let counter = AtomicU64::new(0);
    let ours = RetryBudget::new(&BudgetSettings::default());
    let towers = TpsBudget::new(Duration::from_secs(10), 3, 0.1);
    let rows = measure(&[
        (
            "floor: one shared counter",
            Box::new(|| {
                for _ in 0..CALLS {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            }),
        ),
        ("resilience", depositing(|| ours.deposit())),
        ("tower TpsBudget", depositing(|| towers.deposit())),
        ("resilience, a withdrawal per ten", withdrawing(|| ours.deposit(), || ours.withdraw())),
        (
            "tower TpsBudget, a withdrawal per ten",
            withdrawing(|| towers.deposit(), || towers.withdraw()),
        ),
    ]);
    print("A retry budget", &rows, "floor: one shared counter", &[("resilience", 1.5)]);
}

fn depositing<'a>(deposit: impl Fn() + Sync + 'a) -> Work<'a> {
    Box::new(move || {
        for _ in 0..CALLS {
            deposit();
        }
    })
}

fn withdrawing<'a>(
    deposit: impl Fn() + Sync + 'a,
    withdraw: impl Fn() -> bool + Sync + 'a,
) -> Work<'a> {
    Box::new(move || {
        for number in 0..CALLS {
            deposit();
            if number % 10 == 0 {
                std::hint::black_box(withdraw());
            }
        }
    })
}
