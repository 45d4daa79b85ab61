//! One call through a breaker, without a service around it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::phase::Stamp;
use super::shared::Shared;
use crate::{Classify, Error};

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
    C: Classify<T, E>,
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
        let result = ready!(this.inner.poll(cx)).map_err(Error::Inner);
        *this.permitted = false;
        this.shared.settle(*this.stamp, *this.begun, this.classify.classify(&result));
        Poll::Ready(result)
    }
}
