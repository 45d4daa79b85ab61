//! The time limit of one attempt.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::sleep;
use tower::{Layer, Service};

use super::ResponseFuture;
use crate::Error;
use crate::deadline::HasDeadline;

/// Ends each call with [`Error::TimedOut`] after this time, or with [`Error::DeadlineExceeded`] at
/// the request's deadline if that is earlier.
#[derive(Debug, Clone, Copy)]
pub struct AttemptTimeoutLayer {
    timeout: Duration,
}

/// See [`AttemptTimeoutLayer`].
#[derive(Debug, Clone, Copy)]
pub struct AttemptTimeoutService<S> {
    inner: S,
    timeout: Duration,
}

impl AttemptTimeoutLayer {
    /// A limit for each attempt.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout }
    }
}

impl<S> Layer<S> for AttemptTimeoutLayer {
    type Service = AttemptTimeoutService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AttemptTimeoutService { inner, timeout: self.timeout }
    }
}

impl<S, R, E> Service<R> for AttemptTimeoutService<S>
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

    fn call(&mut self, request: R) -> Self::Future {
        let left = request.deadline().map(|deadline| deadline.remaining());
        if left == Some(None) {
            return ResponseFuture::late();
        }
        let left = left.flatten().filter(|left| *left < self.timeout);
        let sleep = sleep(left.unwrap_or(self.timeout));
        ResponseFuture::called(self.inner.call(request), sleep, left.is_some())
    }
}
