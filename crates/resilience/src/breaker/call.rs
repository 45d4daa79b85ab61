//! One call through a breaker, without a service around it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::Open;
use super::phase::Stamp;
use super::shared::Shared;
use crate::Outcome;

/// Why a call through a breaker gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// The call was not made.
    #[error(transparent)]
    Open(#[from] Open),
    /// The call was made, and failed.
    #[error("{0}")]
    Inner(E),
}

pin_project! {
    /// A call that asks the breaker when it is first polled. Dropping it reports a call that was
    /// given up.
    // Borrows the breaker, so that nothing is counted but the outcome; the permit's parts stand in
    // place, because moving a permit costs more than all the rest.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are polled"]
    pub struct Call<'a, F, C> {
        #[pin]
        inner: F,
        classify: C,
        shared: &'a Shared,
        begun: Option<Instant>,
        stamp: Stamp,
        permitted: bool,
    }

    impl<F, C> PinnedDrop for Call<'_, F, C> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if *this.permitted {
                this.shared.give_up(*this.stamp);
            }
        }
    }
}

impl<'a, F, C> Call<'a, F, C> {
    #[inline]
    pub(super) fn new(shared: &'a Shared, classify: C, call: F) -> Self {
        Self { inner: call, classify, shared, begun: None, stamp: Stamp(0), permitted: false }
    }
}

impl<F, C, T, E> Future for Call<'_, F, C>
where
    F: Future<Output = Result<T, E>>,
    C: Fn(&Result<T, E>) -> Outcome,
{
    type Output = Result<T, Error<E>>;

    // A result that is handed over in memory costs more than the breaker.
    #[allow(clippy::inline_always, reason = "measured: a third of a closed breaker's cost")]
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if !*this.permitted {
            *this.stamp = this.shared.admit()?;
            *this.begun = this.shared.begin();
            *this.permitted = true;
        }
        let result = ready!(this.inner.poll(cx));
        *this.permitted = false;
        this.shared.settle(*this.stamp, *this.begun, (this.classify)(&result));
        Poll::Ready(result.map_err(Error::Inner))
    }
}
