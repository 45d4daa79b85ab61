//! A closure that answers for a call that failed.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::Error;

/// Asks a closure for an answer when the call fails; it may give the error back, or another.
#[derive(Debug, Clone, Copy)]
pub struct FallbackLayer<F> {
    fallback: F,
}

/// See [`FallbackLayer`].
#[derive(Debug, Clone, Copy)]
pub struct FallbackService<S, F> {
    inner: S,
    fallback: F,
}

impl<F> FallbackLayer<F> {
    /// A layer of this closure: `|error: Error<E>| async move { … }`, which gives a
    /// `Result<Response, Error<E>>`.
    pub fn new(fallback: F) -> Self {
        Self { fallback }
    }
}

impl<S, F: Clone> Layer<S> for FallbackLayer<F> {
    type Service = FallbackService<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        FallbackService { inner, fallback: self.fallback.clone() }
    }
}

impl<S, R, E, F, Fut> Service<R> for FallbackService<S, F>
where
    S: Service<R, Error = Error<E>>,
    F: Fn(Error<E>) -> Fut + Clone,
    Fut: Future<Output = Result<S::Response, Error<E>>>,
{
    type Response = S::Response;
    type Error = Error<E>;
    type Future = ResponseFuture<S::Future, F, Fut>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        ResponseFuture {
            state: State::Called {
                call: self.inner.call(request),
                fallback: self.fallback.clone(),
            },
        }
    }
}

pin_project! {
    /// The answer of the call or of the fallback.
    #[derive(Debug)]
    pub struct ResponseFuture<C, F, Fut> {
        #[pin]
        state: State<C, F, Fut>,
    }
}

pin_project! {
    #[project = Projected]
    #[derive(Debug)]
    enum State<C, F, Fut> {
        Called {
            #[pin]
            call: C,
            fallback: F,
        },
        Falling {
            #[pin]
            answer: Fut,
        },
    }
}

impl<C, F, Fut, T, E> Future for ResponseFuture<C, F, Fut>
where
    C: Future<Output = Result<T, Error<E>>>,
    F: Fn(Error<E>) -> Fut,
    Fut: Future<Output = Result<T, Error<E>>>,
{
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.as_mut().project().state.project() {
                Projected::Falling { answer } => return answer.poll(cx),
                Projected::Called { call, fallback } => match ready!(call.poll(cx)) {
                    Ok(answer) => return Poll::Ready(Ok(answer)),
                    Err(error) => {
                        let answer = fallback(error);
                        self.as_mut().project().state.set(State::Falling { answer });
                    }
                },
            }
        }
    }
}
