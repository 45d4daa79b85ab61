//! The budget with two threads, as loom interleaves them.

use std::sync::Arc;

use loom::thread;

use super::*;
use crate::sync::number_thread;

fn budget() -> Arc<RetryBudget> {
    Arc::new(RetryBudget::new(&BudgetSettings { ratio: 1.0, per_second: 0.0 }))
}

#[test]
fn one_deposit_is_one_retry_however_many_ask() {
    loom::model(|| {
        let budget = budget();
        budget.deposit();
        let other = budget.clone();
        let one = thread::spawn(move || {
            number_thread(1);
            other.withdraw()
        });
        let two = budget.withdraw();
        let given = usize::from(one.join().unwrap()) + usize::from(two);
        assert!(given <= 1);
        assert_eq!(given + usize::from(budget.withdraw()), 1, "what is gathered is not lost");
    });
}

#[test]
fn a_deposit_during_a_withdrawal_is_not_lost() {
    loom::model(|| {
        let budget = budget();
        budget.deposit();
        let other = budget.clone();
        let one = thread::spawn(move || other.deposit());
        assert!(budget.withdraw());
        one.join().unwrap();
        assert!(budget.withdraw());
        assert!(!budget.withdraw());
    });
}
