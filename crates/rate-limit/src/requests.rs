//! Counts a request against the limits of its route, and says in the answer what is left.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use auth::Caller;
use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use chassis::{ClientAddress, Next, Problem};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::gcra::{Quota, Reading};
use crate::settings::By;
use crate::{Limit, RateLimited, RateLimits, RouteLimits, metrics};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

impl RateLimits {
    /// Goes on with a request that is within the limits of its route. The policy comes before it, so
    /// that it is known who calls.
    pub async fn count(&self, mut request: Request, next: impl Next) -> Response {
        let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let Some(route) = self.of(request.method(), path) else { return next.run(request).await };
        let caller = Caller::of(request.extensions());
        if matches!(caller, Some(Caller::Service(_))) {
            return next.run(request).await;
        }
        let counted = Counted::new(self, route);
        let client = request.extensions().get::<ClientAddress>().copied();
        let whom = |by| match (by, caller) {
            (By::Address, _) => client.map(|client| self.0.hasher.address(client)),
            (By::User, Some(Caller::User(user))) => Some(self.0.hasher.user(user.id.as_bytes())),
            (By::User | By::Account, _) => None,
        };
        let mut response = if let Err(limited) = counted.count(whom).await {
            Problem::from(limited).into_response()
        } else {
            request.extensions_mut().insert(counted.clone());
            next.run(request).await
        };
        counted.set_headers(response.headers_mut());
        response
    }
}

/// What was counted for a request; an extension of it.
#[derive(Clone)]
struct Counted {
    limits: RateLimits,
    route: Arc<RouteLimits>,
    applied: Arc<Mutex<Vec<(String, Quota, Reading)>>>,
}

impl Counted {
    fn new(limits: &RateLimits, route: &Arc<RouteLimits>) -> Self {
        Self { limits: limits.clone(), route: route.clone(), applied: Arc::default() }
    }

    /// Counts against those limits for which it is known whom they are about.
    async fn count(&self, whom: impl Fn(By) -> Option<String>) -> Result<(), RateLimited> {
        let RouteLimits { route, limits } = &*self.route;
        let known = limits.iter().filter_map(|limit| Some((limit, whom(limit.by)?)));
        let (limits, cells): (Vec<&Limit>, Vec<(String, Quota)>) = known
            .map(|(limit, whom)| {
                (limit, (format!("rate:{route}:{}:{whom}", limit.name), limit.quota))
            })
            .unzip();
        if cells.is_empty() {
            return Ok(());
        }
        let shared = &*self.limits.0;
        let readings = shared.counters.count(&cells).await;
        let mut retry_after = Duration::ZERO;
        for (limit, reading) in limits.iter().zip(&readings) {
            if !reading.wait.is_zero() {
                metrics::limited(shared.service, route, &limit.name);
            }
            retry_after = retry_after.max(reading.wait);
        }
        let applied = limits.iter().zip(readings);
        let applied = applied.map(|(limit, reading)| (limit.name.clone(), limit.quota, reading));
        self.applied.lock().unwrap_or_else(PoisonError::into_inner).extend(applied);
        if retry_after.is_zero() { Ok(()) } else { Err(RateLimited { retry_after }) }
    }

    /// The fields of draft-ietf-httpapi-ratelimit-headers-11: a policy's quota and window, and what
    /// remains of it for how many seconds, until all of it is there again.
    fn set_headers(&self, headers: &mut HeaderMap) {
        let applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        if applied.is_empty() {
            return;
        }
        let policies = applied.iter().map(|(name, Quota { requests, per }, _)| {
            format!("\"{name}\";q={requests};w={}", per.as_secs())
        });
        let left = applied.iter().map(|(name, _, Reading { remaining, full_in, .. })| {
            format!("\"{name}\";r={remaining};t={}", whole_seconds(*full_in))
        });
        let fields = [(POLICY, policies.collect::<Vec<_>>()), (LEFT, left.collect())];
        for (name, items) in fields {
            if let Ok(value) = HeaderValue::try_from(items.join(", ")) {
                headers.insert(name, value);
            }
        }
    }
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// The limits by account of the route at hand, for its handler: it counts once it knows which account
/// the request names. Without such limits in the settings nothing is counted.
pub struct AccountLimit(Option<Counted>);

impl AccountLimit {
    /// Counts a request that names this account, such as a normalised e-mail address. Nothing says
    /// whether there is one.
    ///
    /// # Errors
    /// A limit is reached.
    pub async fn count(&self, account: &str) -> Result<(), RateLimited> {
        let Some(counted) = &self.0 else { return Ok(()) };
        let shared = &*counted.limits.0;
        let whom = |by| (by == By::Account).then(|| shared.hasher.account(account));
        counted.count(whom).await
    }
}

impl<S: Sync> FromRequestParts<S> for AccountLimit {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.get::<Counted>().cloned()))
    }
}

/// To an HTTP caller: 429.
impl From<RateLimited> for Problem {
    fn from(RateLimited { retry_after }: RateLimited) -> Self {
        Self::rate_limited(retry_after)
    }
}
