//! A service without a free place has some left for other services, and for them alone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use auth::policy::protect;
use auth::{CallerService, Role};
use axum::Extension;
use chassis::{App, CancellationToken, ServerSettings, ServiceInfo, TrustedProxies};
use tokio::sync::Notify;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::fixture::{clock, tokens};
use crate::policy::{bearer, rules};

const RULES: &str = r#"
[policy.user-service]
"GET /hold": anybody
"GET /who": anybody
"GET /asked": service

[policy.payment-service]
"#;
const LONG: Duration = Duration::from_secs(60);

/// Tells when a request is inside, and when all may leave.
#[derive(Clone, Default)]
struct Hall {
    entered: Arc<Notify>,
    leave: Arc<Notify>,
}

#[utoipa::path(get, path = "/hold", responses((status = 200)))]
async fn hold(Extension(hall): Extension<Hall>) {
    hall.entered.notify_one();
    hall.leave.notified().await;
}
#[utoipa::path(get, path = "/who", responses((status = 200)))]
async fn who() -> &'static str {
    "anybody"
}
#[utoipa::path(get, path = "/asked", responses((status = 200)))]
async fn asked(service: CallerService) -> String {
    service.name
}

pub(crate) fn settings() -> ServerSettings {
    ServerSettings {
        host: "127.0.0.1".to_owned(),
        port: 0,
        connection_limit: 64,
        idle_timeout: LONG,
        head_limit: 16384,
        head_timeout: LONG,
        body_limit: 1024,
        body_timeout: LONG,
        write_timeout: LONG,
        request_timeout: LONG,
        concurrency_limit: 1,
        adaptive_concurrency: true,
        service_concurrency_limit: 1,
        grace_period: LONG,
        drain_delay: Duration::ZERO,
        takeover_socket: PathBuf::new(),
        takeover_from: PathBuf::new(),
        trusted_proxies: TrustedProxies::default(),
        tracing_proxies: TrustedProxies::default(),
        debug: false,
    }
}

#[tokio::test]
async fn while_every_place_is_taken_a_service_is_served_and_nobody_else() {
    let clock = clock();
    let hall = Hall::default();
    let ours = tokens("user-service", &clock);
    let routes = OpenApiRouter::new()
        .routes(routes!(hold))
        .routes(routes!(who))
        .routes(routes!(asked))
        .layer(Extension(hall.clone()));
    let [routes] = protect([routes], "user-service", &rules(RULES).unwrap(), &ours).unwrap();
    let info = ServiceInfo { name: "user-service", version: "1.0.0".to_owned() };
    let app = App::builder(info, settings()).routes(routes).bind().await.unwrap();
    let url = |path: &str| format!("http://{}{path}", app.address());
    let held = url("/hold");
    let who = url("/who");
    let asked = url("/asked");
    let running = tokio::spawn(app.run(CancellationToken::new()));
    let http = reqwest::Client::new();
    let held = tokio::spawn(http.get(held).send());
    hall.entered.notified().await;

    let user = bearer(&ours.for_user(Uuid::nil(), Role::Admin, Uuid::nil()).unwrap());
    let payments = tokens("payment-service", &clock).for_service("user-service").unwrap();
    for (path, token, status) in [
        (&who, None, 503),
        (&who, Some("Bearer nonsense".to_owned()), 503),
        (&who, Some(user.clone()), 503),
        (&asked, Some(user), 503),
        (&asked, Some(bearer(&payments)), 200),
        (&who, Some(bearer(&payments)), 200),
    ] {
        let request = token
            .iter()
            .fold(http.get(path), |request, token| request.header("authorization", token));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path} {token:?}");
    }
    hall.leave.notify_one();
    assert_eq!(held.await.unwrap().unwrap().status(), 200);
    assert_eq!(http.get(&who).send().await.unwrap().status(), 200);
    running.abort();
}
