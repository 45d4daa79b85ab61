//! The rate limit around a service.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower::Service;

use super::{RateLimit, RateLimited};
use crate::Error;

/// See [`RateLimitLayer`](super::RateLimitLayer).
#[derive(Debug, Clone)]
pub struct RateLimitService<S> {
    inner: S,
    limit: RateLimit,
}

impl<S> RateLimitService<S> {
    pub(super) fn new(inner: S, limit: RateLimit) -> Self {
        Self { inner, limit }
    }
}

impl<S, R, E> Service<R> for RateLimitService<S>
where
    S: Service<R, Error = Error<E>>,
{
    type Response = S::Response;
    type Error = Error<E>;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        match self.limit.try_acquire() {
            Ok(()) => ResponseFuture { state: State::Called { call: self.inner.call(request) } },
            Err(refusal) => ResponseFuture { state: State::Refused { refusal } },
        }
    }
}

pin_project! {
    /// The answer, or the refusal.
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
        },
        Refused {
            refusal: RateLimited,
        },
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, Error<E>>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            Projected::Called { call } => call.poll(cx),
            Projected::Refused { refusal } => {
                Poll::Ready(Err(Error::RateLimited { retry_after: refusal.retry_after }))
            }
        }
    }
}
