//! The time limit of a call in all, its retries included.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::sleep_until;
use tower::{Layer, Service};

use super::ResponseFuture;
use crate::Error;
use crate::deadline::{Deadline, HasDeadline};

/// Ends each call with [`Error::DeadlineExceeded`] after this time, or at the request's deadline if
/// that is earlier; what is called sees the earlier one as the request's deadline.
#[derive(Debug, Clone, Copy)]
pub struct TotalTimeoutLayer {
    timeout: Duration,
}

/// See [`TotalTimeoutLayer`].
#[derive(Debug, Clone, Copy)]
pub struct TotalTimeoutService<S> {
    inner: S,
    timeout: Duration,
}

impl TotalTimeoutLayer {
    /// A limit for each call; an hour at most.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout }
    }
}

impl<S> Layer<S> for TotalTimeoutLayer {
    type Service = TotalTimeoutService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TotalTimeoutService { inner, timeout: self.timeout }
    }
}

impl<S, R, E> Service<R> for TotalTimeoutService<S>
where
    S: Service<R, Error = Error<E>>,
    R: HasDeadline,
{
    type Response = S::Response;
    type Error = Error<E>;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: R) -> Self::Future {
        let limit = Deadline::within(self.timeout);
        let deadline = request.deadline().map_or(limit, |asked| asked.earlier(limit));
        if deadline.remaining().is_none() {
            return ResponseFuture::late();
        }
        request.set_deadline(deadline);
        let sleep = sleep_until(deadline.instant());
        ResponseFuture::called(self.inner.call(request), sleep, true)
    }
}
