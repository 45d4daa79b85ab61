//! The rate limit as a layer.

use tower::Layer;

use super::{RateLimit, RateLimitService};

/// Meters a service with one rate limit, which all services made by the layer share.
#[derive(Debug, Clone)]
pub struct RateLimitLayer {
    limit: RateLimit,
}

impl RateLimitLayer {
    /// A layer of this limit.
    pub fn new(limit: RateLimit) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimitService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimitService::new(inner, self.limit.clone())
    }
}
