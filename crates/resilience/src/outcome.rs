//! What the end of a call says about the target, as the breaker sees it.

use crate::Error;

/// What a call says about its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is well. An answer that says "you are wrong" (4xx) is one: the target did its work.
    Success,
    /// It is not well.
    Failure,
    /// It asks for less (429, or 503 with `Retry-After`): counts for the failure ratio and fails a
    /// trial call, but is not one of the failures in a row.
    Throttled,
    /// Nothing: the call was not made, was given up, or failed on this side.
    Neutral,
}

/// Decides what the end of a call says. Closures are classifiers.
pub trait Classify<T, E> {
    /// What `result` says about the target.
    fn classify(&self, result: &Result<T, Error<E>>) -> Outcome;
}

impl<T, E, F: Fn(&Result<T, Error<E>>) -> Outcome> Classify<T, E> for F {
    fn classify(&self, result: &Result<T, Error<E>>) -> Outcome {
        self(result)
    }
}

/// The classifier for calls whose every error is a failure of the target.
///
/// An attempt that took too long is a failure. A deadline that passed is neutral: callers choose
/// their deadlines, and one that is always in a hurry must not open the breaker for all others. So
/// the timeout of an attempt has to be shorter than the usual deadline for a hang to be noticed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnyError;

impl<T, E> Classify<T, E> for AnyError {
    fn classify(&self, result: &Result<T, Error<E>>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(Error::Inner(_) | Error::TimedOut) => Outcome::Failure,
            Err(_) => Outcome::Neutral,
        }
    }
}
