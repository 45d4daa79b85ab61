//! The one error of all layers, flat: a caller matches once, however many layers there are.

use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::TryFutureExt;
use futures_util::future::MapErr;
use tower::{Layer, Service};

use crate::breaker::Open;

/// Why a guarded call gave no answer. `E` is the error of the call itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// The circuit breaker is open; the call was not made.
    #[error(transparent)]
    Open(#[from] Open),
    /// One attempt took longer than an attempt may.
    #[error("the attempt took too long")]
    TimedOut,
    /// No time is left in all; the last attempt was given up or not made.
    #[error("the deadline has passed")]
    DeadlineExceeded,
    /// Too many calls are in flight; the call was not made.
    #[error("too many calls are in flight")]
    Full,
    /// Too many calls were made; the call was not made.
    #[error("the rate limit is reached")]
    RateLimited {
        /// When it is worth asking again.
        retry_after: Duration,
    },
    /// The call was made, and failed.
    #[error("{0}")]
    Inner(E),
}

impl<E> Error<E> {
    /// Whether the call was refused here, without an attempt.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Full | Self::RateLimited { .. })
    }

    /// When it is worth asking again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Open(open) => Some(open.retry_after),
            Self::RateLimited { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// The error of the call itself.
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Inner(error) => Some(error),
            _ => None,
        }
    }

    /// The same with another inner error.
    pub fn map_inner<F>(self, map: impl FnOnce(E) -> F) -> Error<F> {
        match self {
            Self::Open(open) => Error::Open(open),
            Self::TimedOut => Error::TimedOut,
            Self::DeadlineExceeded => Error::DeadlineExceeded,
            Self::Full => Error::Full,
            Self::RateLimited { retry_after } => Error::RateLimited { retry_after },
            Self::Inner(error) => Error::Inner(map(error)),
        }
    }
}

/// Lifts a plain service's error `E` to `Error<E>`, which the layers of this crate ask for.
pub fn guard<S>(service: S) -> ErrorService<S> {
    ErrorService(service)
}

/// [`guard`] as a layer.
#[derive(Debug, Clone, Copy, Default)]
pub struct ErrorLayer;

/// See [`guard`].
#[derive(Debug, Clone, Copy)]
pub struct ErrorService<S>(S);

impl<S> Layer<S> for ErrorLayer {
    type Service = ErrorService<S>;

    fn layer(&self, service: S) -> ErrorService<S> {
        guard(service)
    }
}

impl<S: Service<R>, R> Service<R> for ErrorService<S> {
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = MapErr<S::Future, fn(S::Error) -> Error<S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx).map_err(Error::Inner)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.0.call(request).map_err(Error::Inner)
    }
}
