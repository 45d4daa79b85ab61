//! Time limits: of one attempt, and of a call in all.
//!
//! An attempt has its own limit or what is left of the request's deadline, whichever is less; which
//! of the two ended it tells the error. A call in all has its limit or the caller's deadline, and
//! makes the earlier known to all that is inside, so that no retry is planned past it.

mod attempt;
mod total;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

pub use attempt::{AttemptTimeoutLayer, AttemptTimeoutService};
pub use total::{TotalTimeoutLayer, TotalTimeoutService};

use crate::Error;

pin_project! {
    /// The answer, or the error of the limit that was reached first.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = Projected]
    #[derive(Debug)]
    enum State<F> {
        Called {
            #[pin]
            call: F,
            #[pin]
            sleep: Sleep,
            is_deadline: bool,
        },
        Late,
    }
}

impl<F> ResponseFuture<F> {
    /// A call for which no time is left.
    fn late() -> Self {
        Self { state: State::Late }
    }

    fn called(call: F, sleep: Sleep, is_deadline: bool) -> Self {
        Self { state: State::Called { call, sleep, is_deadline } }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, Error<E>>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            Projected::Late => Poll::Ready(Err(Error::DeadlineExceeded)),
            Projected::Called { call, sleep, is_deadline } => {
                if let Poll::Ready(result) = call.poll(cx) {
                    return Poll::Ready(result);
                }
                let late = if *is_deadline { Error::DeadlineExceeded } else { Error::TimedOut };
                sleep.poll(cx).map(|()| Err(late))
            }
        }
    }
}
