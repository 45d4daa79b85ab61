//! The budget's promises one by one, then between two plain models over random interleavings.

#![allow(clippy::cast_precision_loss, reason = "small counts")]

use proptest::prelude::*;
use tokio::time::advance;

use super::*;

fn budget(ratio: f64, per_second: f64) -> RetryBudget {
    RetryBudget::new(&BudgetSettings { ratio, per_second })
}

fn deposit(budget: &RetryBudget, times: usize) {
    for _ in 0..times {
        budget.deposit();
    }
}

fn withdraw_all(budget: &RetryBudget) -> usize {
    std::iter::repeat_with(|| budget.withdraw()).take_while(|given| *given).count()
}

#[tokio::test(start_paused = true)]
async fn ten_calls_earn_one_retry() {
    let budget = budget(0.1, 0.0);
    deposit(&budget, 9);
    assert!(!budget.withdraw());
    deposit(&budget, 1);
    assert_eq!(withdraw_all(&budget), 1);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_service_has_its_reserve() {
    let budget = budget(0.0, 3.0);
    assert_eq!(withdraw_all(&budget), 30);
    let mut given = 0;
    for _ in 0..100 {
        advance(Duration::from_secs(1)).await;
        given += withdraw_all(&budget);
    }
    assert!((200..=300).contains(&given), "{given} in a hundred seconds");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_hour_saves_nothing_up() {
    let budget = budget(0.1, 3.0);
    deposit(&budget, 1_000_000);
    advance(Duration::from_secs(3600)).await;
    let given = withdraw_all(&budget);
    assert!(given <= 310, "{given}: at most what ten seconds of that hour earned");
}

#[tokio::test(start_paused = true)]
async fn however_long_it_was_quiet_nothing_is_saved_up() {
    const DAY: Duration = Duration::from_hours(24);
    for days in [24, 26, 49, 50, 51, 75, 600, 7_000] {
        let budget = budget(0.1, 3.0);
        deposit(&budget, 1_000_000);
        advance(DAY * days).await;
        let given = withdraw_all(&budget);
        assert!(given <= 310, "{given} after {days} days");
        advance(Duration::from_secs(60)).await;
        assert!((20..=30).contains(&withdraw_all(&budget)), "the reserve after {days} days");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_takes_nothing() {
    let budget = budget(0.5, 0.0);
    deposit(&budget, 1);
    for _ in 0..100 {
        assert!(!budget.withdraw());
    }
    assert_eq!(budget.refused(), 100);
    deposit(&budget, 1);
    assert!(budget.withdraw());
}

#[tokio::test(start_paused = true)]
async fn when_all_calls_fail_load_grows_by_the_ratio_and_the_reserve() {
    let budget = budget(0.1, 3.0);
    let mut retries = 0;
    for _ in 0..1_000 {
        advance(Duration::from_millis(10)).await;
        budget.deposit();
        retries += usize::from(budget.withdraw());
    }
    // 100 calls a second for ten seconds: 100 earned, 30 of the reserve, 30 at the start.
    assert!((100..=160).contains(&retries), "{retries} of 1000");
}

#[test]
fn threads_that_share_it_never_overdraw_and_lose_nothing() {
    let budget = budget(1.0, 0.0);
    let given: usize = std::thread::scope(|scope| {
        let work = || {
            let calls = (0..5_000).filter(|_| {
                budget.deposit();
                budget.withdraw()
            });
            calls.count()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(given <= 20_000, "{given}");
    assert!(given >= 10_000, "{given}: what is earned can be spent");
}

#[test]
fn nonsense_settings_give_no_retries() {
    let budget = budget(f64::NAN, f64::NEG_INFINITY);
    deposit(&budget, 1_000);
    assert_eq!(withdraw_all(&budget), 0);
}

/// What may happen to a budget; times are milliseconds.
#[derive(Debug, Clone, Copy)]
enum Step {
    Deposit(usize),
    Withdraw,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_usize..30).prop_map(Step::Deposit),
        6 => Just(Step::Withdraw),
        2 => (1_u64..200).prop_map(Step::Wait),
        1 => (1_u64..5_000).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..200)
}

/// Two plain accounts that hold the budget between them.
struct Models {
    ratio: f64,
    per_second: f64,
    /// Nothing fades: more than this is never given.
    most: f64,
    /// Everything fades from the withdrawal before it was earned on: this much is always given.
    least: f64,
    /// Calls since the last withdrawal.
    calls: f64,
    waited: f64,
}

impl Models {
    fn withdraw(&mut self) -> (bool, bool) {
        let earned = self.ratio * self.calls;
        self.most += earned + self.per_second * self.waited;
        let fade = FADE.as_secs_f64();
        let left = (-self.waited / fade).exp();
        self.least = (self.least + earned) * left + self.per_second * fade * (1.0 - left);
        // Less than a tick is not worked out, and each withdrawal rounds down by a thousandth.
        self.least = (self.least - self.per_second * 0.01 - 0.002).max(0.0);
        (self.calls, self.waited) = (0.0, 0.0);
        (self.least >= 1.0, self.most >= 1.0)
    }

    fn spend(&mut self) {
        self.most -= 1.0;
        self.least = (self.least - 1.0).max(0.0);
    }
}

async fn run(ratio: f64, per_second: f64, steps: Vec<Step>) {
    let budget = budget(ratio, per_second);
    let most = per_second * FADE.as_secs_f64();
    let least = most - 0.001;
    let mut models = Models { ratio, per_second, most, least, calls: 0.0, waited: 0.0 };
    for step in steps {
        match step {
            Step::Deposit(times) => {
                deposit(&budget, times);
                models.calls += times as f64;
            }
            Step::Wait(millis) => {
                advance(Duration::from_millis(millis)).await;
                models.waited += millis as f64 / 1e3;
            }
            Step::Withdraw => {
                let (must, may) = models.withdraw();
                let given = budget.withdraw();
                assert!(given || !must, "refused what was earned: {}", models.least);
                assert!(!given || may, "overdrawn: {}", models.most);
                if given {
                    models.spend();
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn it_never_overdraws_and_gives_what_was_earned(
        ratio in 0.0_f64..1.0, per_second in 0.0_f64..10.0, steps in steps(),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(ratio, per_second, steps));
    }
}
