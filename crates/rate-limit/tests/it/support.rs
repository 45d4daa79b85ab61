//! Replicas of a service, and requests to a route of theirs.

use std::net::SocketAddr;
use std::time::Duration;

use auth::policy::Route;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use cache::{CacheSettings, ServiceCache};
use chassis::{ClientAddress, Guard, Next, Protected};
use http::{Response, StatusCode};
use rate_limit::{AccountLimit, By, LimitSettings, RateLimitSettings, RateLimited, RateLimits};
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;

/// One route, which counts by account when its body names one.
pub(crate) struct Replica {
    router: Router,
    pub(crate) limits: RateLimits,
}

/// The limits alone in front of routes, where a service has its policy before them.
struct Limited(RateLimits);

impl Guard for Limited {
    async fn decide(&self, request: Request, next: impl Next) -> axum::response::Response {
        self.0.count(request, next).await
    }
}

pub(crate) fn limit(by: By, requests: u32, per: Duration) -> LimitSettings {
    LimitSettings { by, requests, per }
}

/// A name that no other test has.
pub(crate) fn unique(text: &str) -> String {
    format!("{text}-{}", uuid::Uuid::now_v7())
}

impl Replica {
    /// A replica whose Redis is at that address, and whose keys are its own by `secret`.
    pub(crate) fn at(redis: &str, secret: &str, limits: &[LimitSettings]) -> Self {
        let settings = CacheSettings {
            url: redis.to_owned().into(),
            tls_ca: std::path::PathBuf::new(),
            ttl: Duration::from_secs(60),
        };
        let cache = ServiceCache::connect("rate-limit-test", &settings).unwrap();
        let route = Route::try_from("POST /things".to_owned()).unwrap();
        let settings = RateLimitSettings {
            enabled: true,
            // Long enough for a machine that is busy with other tests.
            redis_timeout: Duration::from_secs(5),
            routes: [(route, limits.to_vec())].into(),
        };
        let limits = RateLimits::new("rate-limit-test", &settings, cache, secret);
        let handler = async |account: AccountLimit, name: String| -> Result<(), chassis::Problem> {
            if !name.is_empty() {
                account.count(&name).await?;
            }
            Ok(())
        };
        let routes = OpenApiRouter::new().route("/things", axum::routing::post(handler));
        let router = Protected::by(Limited(limits.clone()), routes).into_parts().0;
        Self { router, limits }
    }

    /// A request from an address, with the account that it names.
    pub(crate) async fn post(&self, from: &str, account: &str) -> Response<Body> {
        let mut request = Request::post("/things").body(Body::from(account.to_owned())).unwrap();
        request.extensions_mut().insert(client(from));
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// How many of so many requests are admitted.
    pub(crate) async fn admitted(&self, requests: usize, from: &str, account: &str) -> usize {
        let mut admitted = 0;
        for _ in 0..requests {
            match self.post(from, account).await.status() {
                StatusCode::OK => admitted += 1,
                status => assert_eq!(status, StatusCode::TOO_MANY_REQUESTS),
            }
        }
        admitted
    }
}

pub(crate) fn client(address: &str) -> ClientAddress {
    let parsed: Result<SocketAddr, _> = format!("{address}:0").parse();
    ClientAddress(parsed.map_or_else(|_| address.parse().unwrap(), |address| address.ip()))
}

/// Whether a result is a refusal.
pub(crate) fn is_limited<T>(result: &Result<T, RateLimited>) -> bool {
    result.is_err()
}
