//! The breaker as a layer.

use tower::Layer;

use super::{BreakerService, CircuitBreaker};

/// Guards a service with one breaker, which all services made by the layer share.
#[derive(Debug, Clone)]
pub struct BreakerLayer<C> {
    breaker: CircuitBreaker,
    classify: C,
}

impl<C> BreakerLayer<C> {
    /// A layer of this breaker; `classify` says what an answer tells of the target, as
    /// [`AnyError`](crate::AnyError) does.
    pub fn new(breaker: CircuitBreaker, classify: C) -> Self {
        Self { breaker, classify }
    }
}

impl<S, C: Clone> Layer<S> for BreakerLayer<C> {
    type Service = BreakerService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        BreakerService::new(inner, self.breaker.clone(), self.classify.clone())
    }
}
