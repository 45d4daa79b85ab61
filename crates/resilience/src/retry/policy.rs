//! Tower's retry policy of these settings.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Sleep;
use tower::retry::Policy;
use tower::retry::budget::Budget;

use super::budget::RetryBudget;
use super::{Backoff, Repeatable, RetrySettings};
use crate::Error;
use crate::deadline::{Deadline, HasDeadline};

/// A request without a deadline is given up after this.
const NO_DEADLINE: Duration = Duration::from_secs(3_600);

/// That another attempt may go better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetryHint {
    /// The pause that the target asked for (`Retry-After`): a lower bound of ours.
    pub retry_after: Option<Duration>,
}

/// Decides which ends of an attempt are worth another one. Closures are classifiers.
pub trait RetryClassify<T, E> {
    /// None when another attempt would go no better.
    fn hint(&self, result: &Result<T, Error<E>>) -> Option<RetryHint>;
}

impl<T, E, F: Fn(&Result<T, Error<E>>) -> Option<RetryHint>> RetryClassify<T, E> for F {
    fn hint(&self, result: &Result<T, Error<E>>) -> Option<RetryHint> {
        self(result)
    }
}

/// The classifier for calls whose every failed or hanging attempt is worth another one.
///
/// What was refused on this side is not: the breaker, the bulkhead and the rate limit are there to
/// take load away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnyFailure;

impl<T, E> RetryClassify<T, E> for AnyFailure {
    fn hint(&self, result: &Result<T, Error<E>>) -> Option<RetryHint> {
        let failed = matches!(result, Err(Error::Inner(_) | Error::TimedOut));
        failed.then(RetryHint::default)
    }
}

/// The policy of one target. Clones share the budget; each call works on its own clone.
#[derive(Debug)]
pub struct RetryPolicy<C> {
    shared: Arc<Shared<C>>,
    /// Attempts made for this call.
    attempts: u32,
}

#[derive(Debug)]
struct Shared<C> {
    backoff: Backoff,
    budget: Arc<RetryBudget>,
    classify: C,
}

impl<C> RetryPolicy<C> {
    /// A policy with a budget of its own.
    pub fn new(settings: &RetrySettings, classify: C) -> Self {
        let budget = Arc::new(RetryBudget::new(&settings.budget()));
        Self::with_budget(settings, budget, classify)
    }

    /// A policy that shares a budget with others.
    pub fn with_budget(settings: &RetrySettings, budget: Arc<RetryBudget>, classify: C) -> Self {
        let backoff = Backoff::new(settings);
        Self { shared: Arc::new(Shared { backoff, budget, classify }), attempts: 0 }
    }

    /// The budget that all calls share.
    pub fn budget(&self) -> &Arc<RetryBudget> {
        &self.shared.budget
    }
}

impl<C> Clone for RetryPolicy<C> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), attempts: self.attempts }
    }
}

impl<C, R, T, E> Policy<R, T, Error<E>> for RetryPolicy<C>
where
    C: RetryClassify<T, E>,
    R: Repeatable + HasDeadline,
{
    type Future = Sleep;

    fn retry(&mut self, request: &mut R, result: &mut Result<T, Error<E>>) -> Option<Sleep> {
        let Shared { backoff, budget, classify } = &*self.shared;
        if self.attempts == 0 {
            budget.deposit();
        }
        self.attempts += 1;
        let hint = classify.hint(result)?;
        let deadline = request.deadline().unwrap_or_else(|| Deadline::within(NO_DEADLINE));
        let pause = backoff.next(self.attempts, hint.retry_after, deadline)?;
        // The budget last: what is not spent is left for others.
        budget.withdraw().then(|| tokio::time::sleep(pause))
    }

    fn clone_request(&mut self, request: &R) -> Option<R> {
        request.may_repeat().then(|| request.try_clone()).flatten()
    }
}
