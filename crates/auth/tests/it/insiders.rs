//! Whose request ids count: those of other services and of proxies that begin traces.

use auth::Role;
use auth::policy::{protect, service_check};
use chassis::{App, CancellationToken, ServerSettings, ServiceInfo, TrustedProxies};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::fixture::{clock, tokens};
use crate::policy::{bearer, rules};
use crate::reserved::settings;

const RULES: &str = r#"
[policy.user-service]
"GET /who": anybody

[policy.payment-service]
"#;

#[utoipa::path(get, path = "/who", responses((status = 200)))]
async fn who() -> &'static str {
    "anybody"
}

/// Whether the request id of a caller with this `Authorization` comes back.
async fn is_kept(authorization: &str, id: &str, proxies: &[&str]) -> bool {
    let clock = clock();
    let ours = tokens("user-service", &clock);
    let routes = OpenApiRouter::new().routes(routes!(who));
    let [routes] = protect([routes], "user-service", &rules(RULES).unwrap(), &ours).unwrap();
    let info = ServiceInfo { name: "user-service", version: "1.0.0".to_owned() };
    let proxies: Vec<_> = proxies.iter().map(|&proxy| proxy.to_owned()).collect();
    let proxies = TrustedProxies::try_from(proxies).unwrap();
    let settings = ServerSettings { tracing_proxies: proxies, ..settings() };
    let app = App::builder(info, settings).routes(routes).services(service_check(&ours));
    let app = app.bind().await.unwrap();
    let request = reqwest::Client::new().get(format!("http://{}/who", app.address()));
    let running = tokio::spawn(app.run(CancellationToken::new()));
    let request = request.header("x-request-id", id).header("authorization", authorization);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    running.abort();
    answer.headers()["x-request-id"] == id
}

#[tokio::test]
async fn the_request_id_of_a_service_is_kept_when_it_is_sane() {
    let service = tokens("payment-service", &clock()).for_service("user-service").unwrap();
    for (id, kept) in [("order-17:a.b_c", true), ("two words", false), (&*"x".repeat(129), false)] {
        assert_eq!(is_kept(&bearer(&service), id, &[]).await, kept, "{id}");
    }
}

#[tokio::test]
async fn the_request_id_of_whoever_is_no_service_for_this_one_is_replaced() {
    let payments = tokens("payment-service", &clock());
    let user = payments.for_user(Uuid::nil(), Role::Admin, Uuid::nil()).unwrap();
    let elsewhere = payments.for_service("notification-service").unwrap();
    for token in [bearer(&user), bearer(&elsewhere), "Bearer nonsense".to_owned()] {
        assert!(!is_kept(&token, "order-17", &[]).await, "{token}");
    }
}

#[tokio::test]
async fn the_request_id_of_a_proxy_that_begins_traces_is_kept() {
    assert!(is_kept("Bearer nonsense", "order-17", &["127.0.0.0/8"]).await);
    assert!(!is_kept("Bearer nonsense", "order-17", &["192.0.2.0/24"]).await);
}
