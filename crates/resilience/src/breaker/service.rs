//! The breaker around a service.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tower::Service;

use super::{CircuitBreaker, Open, Permit};
use crate::{Classify, Error};

/// See [`BreakerLayer`](super::BreakerLayer).
#[derive(Debug, Clone)]
pub struct BreakerService<S, C> {
    inner: S,
    breaker: CircuitBreaker,
    classify: C,
    /// Whether `inner` was ready when it was last asked.
    ready: bool,
}

impl<S, C> BreakerService<S, C> {
    pub(super) fn new(inner: S, breaker: CircuitBreaker, classify: C) -> Self {
        Self { inner, breaker, classify, ready: false }
    }
}

impl<S, C, R, E> Service<R> for BreakerService<S, C>
where
    S: Service<R, Error = Error<E>>,
    C: Classify<S::Response, E> + Clone,
{
    type Response = S::Response;
    type Error = Error<E>;
    type Future = ResponseFuture<S::Future, C>;

    /// Ready at once while the breaker is open: the refusal needs no service.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.ready = false;
        if self.breaker.is_callable() {
            ready!(self.inner.poll_ready(cx))?;
            self.ready = true;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let permit = match self.breaker.try_acquire() {
            Ok(permit) if self.ready => permit,
            // It closed between the two questions, and the service was not asked whether it is
            // ready.
            Ok(_) => {
                return ResponseFuture {
                    state: State::Refused { open: Open { retry_after: Duration::ZERO } },
                };
            }
            Err(open) => return ResponseFuture { state: State::Refused { open } },
        };
        self.ready = false;
        ResponseFuture {
            state: State::Called {
                call: self.inner.call(request),
                permit: Some(permit),
                classify: self.classify.clone(),
            },
        }
    }
}

pin_project! {
    /// The answer, or the refusal. Dropping it reports a call that was given up.
    #[derive(Debug)]
    pub struct ResponseFuture<F, C> {
        #[pin]
        state: State<F, C>,
    }
}

pin_project! {
    #[project = Projected]
    #[derive(Debug)]
    enum State<F, C> {
        Called {
            #[pin]
            call: F,
            permit: Option<Permit>,
            classify: C,
        },
        Refused {
            open: Open,
        },
    }
}

impl<F, C, T, E> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<T, Error<E>>>,
    C: Classify<T, E>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            Projected::Called { call, permit, classify } => {
                let result = ready!(call.poll(cx));
                if let Some(permit) = permit.take() {
                    permit.settle(classify.classify(&result));
                }
                Poll::Ready(result)
            }
            Projected::Refused { open } => Poll::Ready(Err(Error::Open(*open))),
        }
    }
}
