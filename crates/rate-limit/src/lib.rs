//! How often somebody may do something: limits by client address, by user and by account, which
//! all replicas of a service count together in Redis.
//!
//! ```text
//! [rate_limit.routes]
//! "POST /api/sessions": [{by: address, requests: 30, per: 1m}]
//! "POST /api/users": [{by: address, requests: 30, per: 1h}, {by: account, requests: 5, per: 1d}]
//! ```
//!
//! | by | whom | counted |
//! |---|---|---|
//! | `address` | the client's address, of IPv6 the network of 56 bits | before the handler, and before the body is parsed |
//! | `user` | the signed-in user | before the handler |
//! | `account` | the account that the request names, such as an e-mail address | by the handler: [`AccountLimit`] |
//!
//! [`RateLimits::count`] stands behind the policy, which says who calls. A call of another service, whose token
//! has been verified, is not limited: it stands for a user who was counted where the call began,
//! and a bulkhead bounds it. What the policy refuses is not counted: there is nothing to be guessed in
//! a signed token.
//!
//! A refused request gets 429 with `Retry-After` and a problem document of kind `rate-limited`. Answers of
//! limited routes say in `RateLimit-Policy` and `RateLimit` what is left, by
//! draft-ietf-httpapi-ratelimit-headers-11.
//!
//! ```text
//! requests     the limits of a route, and the fields of its answers
//!   backoff    a growing delay after failures, by account and address: for passwords
//!   counters   one round trip to Redis; while it is away or slow, this process alone
//!     gcra     the algorithm    cells   its state in this process    scripts/  the same within Redis
//!   subject    whom a key is about: a keyed hash, so that no key tells an address
//!   settings   [rate_limit]
//! ```
//!
//! | metric | tells |
//! |---|---|
//! | `rate_limited_total{service, route, limit}` | requests refused |
//! | `rate_limits_shared{service}` | 1 while replicas count together, 0 while each counts alone |
//!
//! The algorithm is GCRA: `requests` at once after a quiet time, and one more each `per / requests`.
//! So in the first `per` there may be twice as many as in each one after it.

mod backoff;
mod cells;
mod counters;
mod gcra;
mod metrics;
mod requests;
mod settings;
mod subject;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cache::ServiceCache;
use http::Method;

pub use backoff::{Attempt, Backoff, BackoffSettings};
pub use requests::AccountLimit;
pub use settings::{By, LimitSettings, RateLimitSettings};

use counters::Counters;
use gcra::Quota;
use subject::Hasher;

/// Refused: the limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests")]
pub struct RateLimited {
    /// When it is worth trying again.
    pub retry_after: Duration,
}

/// The limits of one service. Cheap to clone; clones share the counts.
#[derive(Clone)]
pub struct RateLimits(Arc<Shared>);

struct Shared {
    service: &'static str,
    is_enabled: bool,
    /// By their paths and methods.
    routes: HashMap<String, Vec<(Method, Arc<RouteLimits>)>>,
    counters: Counters,
    hasher: Hasher,
}

/// The limits of a route.
#[derive(Debug)]
struct RouteLimits {
    /// `METHOD /path/{parameter}`.
    route: String,
    limits: Vec<Limit>,
}

/// One limit of a route.
#[derive(Debug, Clone)]
struct Limit {
    /// Its name in fields and metrics: `address-1m`.
    name: String,
    by: By,
    quota: Quota,
}

impl RateLimits {
    /// The limits of a service. `secret` keys the hashes under which is counted, so that whoever sees
    /// Redis' keys cannot try out addresses; replicas that are to count together have the same one.
    pub fn new(
        service: &'static str,
        settings: &RateLimitSettings,
        cache: ServiceCache,
        secret: &str,
    ) -> Self {
        let mut routes: HashMap<String, Vec<(Method, Arc<RouteLimits>)>> = HashMap::new();
        for (route, limits) in &settings.routes {
            let (method, path) = route.parts();
            let limits = limits.iter().map(Limit::new).collect();
            let limits = RouteLimits { route: route.to_string(), limits };
            for limit in &limits.limits {
                metrics::register(service, &limits.route, &limit.name);
            }
            routes.entry(path.to_owned()).or_default().push((method, Arc::new(limits)));
        }
        Self(Arc::new(Shared {
            service,
            is_enabled: settings.enabled,
            routes,
            counters: Counters::new(service, cache, settings.redis_timeout),
            hasher: Hasher::new(secret),
        }))
    }

    /// The limits of a route; `HEAD` is a `GET` without its body.
    fn of(&self, method: &Method, path: &str) -> Option<&Arc<RouteLimits>> {
        if !self.0.is_enabled {
            return None;
        }
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let (_, limits) = self.0.routes.get(path)?.iter().find(|(of, _)| of == method)?;
        Some(limits)
    }
}

impl Limit {
    fn new(settings: &LimitSettings) -> Self {
        let LimitSettings { by, requests, per } = settings;
        Self { name: settings.name(), by: *by, quota: Quota::new(*requests, *per) }
    }
}

impl std::fmt::Debug for RateLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimits").field("service", &self.0.service).finish_non_exhaustive()
    }
}
