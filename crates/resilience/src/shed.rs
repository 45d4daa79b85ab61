//! Load shedding: a service that is not ready refuses at once, instead of letting callers queue.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::Error;

/// Answers [`Error::Full`] while the service is not ready.
#[derive(Debug, Clone, Copy, Default)]
pub struct ShedLayer;

/// See [`ShedLayer`].
#[derive(Debug, Clone)]
pub struct ShedService<S> {
    inner: S,
    ready: bool,
}

impl<S> Layer<S> for ShedLayer {
    type Service = ShedService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ShedService { inner, ready: false }
    }
}

impl<S, R, E> Service<R> for ShedService<S>
where
    S: Service<R, Error = Error<E>>,
{
    type Response = S::Response;
    type Error = Error<E>;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.ready = match self.inner.poll_ready(cx) {
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            ready => ready.is_ready(),
        };
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let ready = std::mem::take(&mut self.ready);
        ResponseFuture { call: ready.then(|| self.inner.call(request)) }
    }
}

pin_project! {
    /// The answer, or the refusal.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        call: Option<F>,
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, Error<E>>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().call.as_pin_mut() {
            Some(call) => call.poll(cx),
            None => Poll::Ready(Err(Error::Full)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{Ready, ready};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use tower::ServiceExt;

    use super::*;

    /// A service that is ready when told so, and counts its calls.
    #[derive(Clone, Default)]
    struct Gate {
        is_open: Arc<AtomicBool>,
        calls: Arc<AtomicUsize>,
    }

    impl Service<()> for Gate {
        type Response = usize;
        type Error = Error<Infallible>;
        type Future = Ready<Result<usize, Self::Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            if self.is_open.load(Ordering::SeqCst) { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn call(&mut self, (): ()) -> Self::Future {
            ready(Ok(self.calls.fetch_add(1, Ordering::SeqCst) + 1))
        }
    }

    #[tokio::test]
    async fn a_service_that_is_not_ready_refuses_at_once_and_is_not_called() {
        let gate = Gate::default();
        let shedding = ShedLayer.layer(gate.clone());
        assert_eq!(shedding.clone().oneshot(()).await, Err(Error::Full));
        gate.is_open.store(true, Ordering::SeqCst);
        assert_eq!(shedding.clone().oneshot(()).await, Ok(1));
        gate.is_open.store(false, Ordering::SeqCst);
        assert_eq!(shedding.oneshot(()).await, Err(Error::Full));
        assert_eq!(gate.calls.load(Ordering::SeqCst), 1);
    }
}
