//! The bulkhead around a service.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::Service;

use super::{Bulkhead, BulkheadPermit, Full};
use crate::Error;

/// See [`BulkheadLayer`](super::BulkheadLayer).
#[derive(Debug, Clone)]
pub struct BulkheadService<S> {
    inner: S,
    bulkhead: Bulkhead,
}

impl<S> BulkheadService<S> {
    pub(super) fn new(inner: S, bulkhead: Bulkhead) -> Self {
        Self { inner, bulkhead }
    }
}

impl<S, R, E> Service<R> for BulkheadService<S>
where
    S: Service<R, Error = Error<E>> + Clone,
{
    type Response = S::Response;
    type Error = Error<E>;
    type Future = ResponseFuture<S, R, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        if let Some(permit) = self.bulkhead.try_acquire() {
            return ResponseFuture {
                state: State::Called { call: self.inner.call(request), permit },
            };
        }
        // The service that is ready goes with the request; a fresh one takes its place.
        let fresh = self.inner.clone();
        let service = mem::replace(&mut self.inner, fresh);
        let bulkhead = self.bulkhead.clone();
        let turn = Box::pin(async move { bulkhead.acquire().await });
        ResponseFuture { state: State::Waiting { turn, held: Some((service, request)) } }
    }
}

/// A caller's turn.
type Turn = Pin<Box<dyn Future<Output = Result<BulkheadPermit, Full>> + Send>>;

pin_project! {
    /// The answer, after the wait for a place if there is one to wait.
    pub struct ResponseFuture<S, R, F> {
        #[pin]
        state: State<S, R, F>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<S, R, F> {
        Waiting {
            turn: Turn,
            held: Option<(S, R)>,
        },
        Called {
            #[pin]
            call: F,
            permit: BulkheadPermit,
        },
    }
}

impl<S, R, E> Future for ResponseFuture<S, R, S::Future>
where
    S: Service<R, Error = Error<E>>,
{
    type Output = Result<S::Response, Error<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.as_mut().project().state.project() {
                Projected::Called { call, .. } => return call.poll(cx),
                Projected::Waiting { turn, held } => {
                    let permit = ready!(turn.as_mut().poll(cx)).map_err(|Full| Error::Full)?;
                    let Some((mut service, request)) = held.take() else { return Poll::Pending };
                    let call = service.call(request);
                    self.as_mut().project().state.set(State::Called { call, permit });
                }
            }
        }
    }
}
