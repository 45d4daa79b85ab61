//! The layer: counts a request against the limits of its route, and says in the answer what is left.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use auth::Caller;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use chassis::{ClientAddress, Problem};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use utoipa_axum::router::OpenApiRouter;

use crate::gcra::{Quota, Reading};
use crate::settings::By;
use crate::{Limit, RateLimited, RateLimits, metrics};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// Puts a service's limits in front of its routes. The policy goes in front of that, so that it is
/// known who calls.
pub fn limit<S: Clone + Send + Sync + 'static>(
    routes: OpenApiRouter<S>,
    limits: &RateLimits,
) -> OpenApiRouter<S> {
    routes.route_layer(from_fn_with_state(limits.clone(), count))
}

async fn count(State(limits): State<RateLimits>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let Some((route, limits_of_route)) = limits.of(request.method(), path) else {
        return next.run(request).await;
    };
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, &()).await.ok();
    if matches!(caller, Some(Caller::Service(_))) {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let counted = Counted::new(&limits, route);
    let client = parts.extensions.get::<ClientAddress>().copied();
    let whom = |by| match (by, &caller) {
        (By::Address, _) => client.map(|client| limits.0.hasher.address(client)),
        (By::User, Some(Caller::User(user))) => Some(limits.0.hasher.user(user.id.as_bytes())),
        (By::User | By::Account, _) => None,
    };
    let mut response = if let Err(limited) = counted.count(limits_of_route, whom).await {
        Problem::from(limited).into_response()
    } else {
        parts.extensions.insert(counted.clone());
        next.run(Request::from_parts(parts, body)).await
    };
    counted.tell(response.headers_mut());
    response
}

/// What was counted for a request; an extension of it.
#[derive(Clone)]
struct Counted {
    limits: RateLimits,
    route: Arc<str>,
    told: Arc<Mutex<Vec<(String, Quota, Reading)>>>,
}

impl Counted {
    fn new(limits: &RateLimits, route: &str) -> Self {
        Self { limits: limits.clone(), route: route.into(), told: Arc::default() }
    }

    /// Counts against those limits for which it is known whom they are about.
    async fn count(
        &self,
        limits: &[Limit],
        whom: impl Fn(By) -> Option<String>,
    ) -> Result<(), RateLimited> {
        let known = limits.iter().filter_map(|limit| Some((limit, whom(limit.by)?)));
        let (limits, cells): (Vec<&Limit>, Vec<(String, Quota)>) = known
            .map(|(limit, whom)| {
                (limit, (format!("rate:{}:{}:{whom}", self.route, limit.name), limit.quota))
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
                metrics::limited(shared.service, &self.route, &limit.name);
            }
            retry_after = retry_after.max(reading.wait);
        }
        let told = limits.iter().zip(readings);
        let told = told.map(|(limit, reading)| (limit.name.clone(), limit.quota, reading));
        self.told.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
        if retry_after.is_zero() { Ok(()) } else { Err(RateLimited { retry_after }) }
    }

    /// The fields of draft-ietf-httpapi-ratelimit-headers-11: a policy's quota and window, and what
    /// remains of it for how many seconds, until all of it is there again.
    fn tell(&self, headers: &mut HeaderMap) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_empty() {
            return;
        }
        let policies = told.iter().map(|(name, Quota { requests, per }, _)| {
            format!("\"{name}\";q={requests};w={}", per.as_secs())
        });
        let left = told.iter().map(|(name, _, Reading { remaining, full_in, .. })| {
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
        let limits = shared.routes.get(&*counted.route).map_or(&[][..], Vec::as_slice);
        let whom = |by| (by == By::Account).then(|| shared.hasher.account(account));
        counted.count(limits, whom).await
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
