//! A port of its own for operators: what is there, what is not, and how it ends.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use chassis::app::AppBuilder;
use chassis::health::{Health, Importance};
use chassis::{CorsSettings, ManagementSettings, ServerSettings};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::{TestApp, builder, held, management, named, open, settings};

/// What an app has besides, each with where it is: on the public port, on that for operators.
const ROUTES: [(&str, bool, bool); 12] = [
    ("/work", true, false),
    ("/live", true, false),
    ("/ready", true, false),
    ("/health", true, true),
    ("/admin/things", false, true),
    ("/debug", false, true),
    ("/metrics", false, true),
    ("/openapi.json", false, true),
    ("/docs", false, true),
    ("/docs/", false, true),
    ("/docs/swagger-ui.css", false, true),
    ("/nowhere", false, false),
];

fn app(settings: ServerSettings, management: ManagementSettings) -> AppBuilder {
    filled(builder(settings), management)
}

/// With [`ROUTES`] and two checks.
fn filled(app: AppBuilder, management: ManagementSettings) -> AppBuilder {
    let administration = Router::new()
        .route("/admin/things", get(async || "things"))
        .route("/debug", get(async || "how it fares"));
    let health = Health::builder().check("database", Importance::Critical, async || Ok(())).check(
        "rabbitmq",
        Importance::Degrading,
        async || Err("not connected"),
    );
    app.routes(open(Router::new().route("/work", get(async || "done"))))
        .administration(open(administration))
        .health(health)
        .management(management)
}

impl TestApp {
    /// The answer on the port for operators.
    async fn managed(&self, path: &str) -> reqwest::Response {
        let url = format!("http://{}{path}", self.management.unwrap());
        self.http.get(url).send().await.unwrap()
    }
}

/// Whether it is there; what is not there is a problem document.
async fn is_there(response: reqwest::Response) -> bool {
    if response.status() != StatusCode::NOT_FOUND {
        assert!(response.status().is_success(), "{response:?}");
        return true;
    }
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert!(response.headers().contains_key("x-request-id"));
    assert_eq!(response.json::<Value>().await.unwrap()["type"], "/problems/not-found");
    false
}

#[tokio::test]
async fn with_a_port_of_its_own_what_is_for_operators_is_there_and_nowhere_else() {
    let app = TestApp::run(app(settings(), management())).await;
    for (path, public, managed) in ROUTES {
        assert_eq!(is_there(app.get(path).await).await, public, "{path} on the public port");
        assert_eq!(is_there(app.managed(path).await).await, managed, "{path} for operators");
    }
}

#[tokio::test]
async fn without_a_port_of_its_own_everything_is_on_the_public_one() {
    let app = TestApp::run(app(settings(), ManagementSettings::default())).await;
    assert_eq!(app.management, None);
    for (path, public, managed) in ROUTES {
        assert_eq!(is_there(app.get(path).await).await, public || managed, "{path}");
    }
    let health: Value = app.get("/health").await.json().await.unwrap();
    assert_eq!(health["checks"]["rabbitmq"], false);
}

#[tokio::test]
async fn the_public_health_says_its_status_and_nothing_else() {
    let app = TestApp::run(app(settings(), management())).await;
    let public = app.get("/health").await;
    assert_eq!(public.status(), 200);
    assert_eq!(public.json::<Value>().await.unwrap(), json!({"status": "degraded"}));
    let details: Value = app.managed("/health").await.json().await.unwrap();
    assert_eq!(details["status"], "degraded");
    assert_eq!(details["details"]["rabbitmq"]["error"], "not connected");
    assert_eq!(details["version"], "1.2.3");
}

#[tokio::test]
async fn a_health_check_that_panics_is_a_problem_document_on_either_port() {
    let panics = Health::builder().check(
        "database",
        Importance::Critical,
        async || -> Result<(), &'static str> { panic!("a password") },
    );
    let app = TestApp::run(app(settings(), management()).health(panics)).await;
    for response in
        [app.get("/health").await, app.get("/ready").await, app.managed("/health").await]
    {
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert!(response.headers().contains_key("x-request-id"));
        assert!(!response.text().await.unwrap().contains("password"));
    }
    assert_eq!(app.get("/live").await.status(), 200);
}

#[tokio::test]
async fn operators_get_in_while_callers_have_taken_every_connection_and_every_place() {
    let (entered, leave, hold) = held();
    let mut full = settings();
    (full.connection_limit, full.concurrency_limit, full.service_concurrency_limit) = (2, 1, 0);
    let app = filled(named("full-service", full), management())
        .routes(open(Router::new().route("/hold", hold)));
    let app = TestApp::run(app).await;
    let held = tokio::spawn(app.http.get(app.url("/hold")).send());
    entered.notified().await;
    let _idle = TcpStream::connect(app.address).await.unwrap();
    for path in ["/metrics", "/admin/things", "/health"] {
        assert_eq!(app.managed(path).await.status(), 200, "{path}");
    }
    // What gauges tell is about callers.
    let metrics = app.managed("/metrics").await.text().await.unwrap();
    for line in [
        "service_connections_max{service=\"full-service\"} 2",
        "service_requests_in_flight_max{service=\"full-service\"} 1",
        "service_requests_in_flight{service=\"full-service\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in {metrics}");
    }
    leave.notify_one();
    assert_eq!(held.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn metrics_can_be_scraped_until_the_last_task_has_ended() {
    let leave = Arc::new(Notify::new());
    let until = leave.clone();
    let mut long = settings();
    long.grace_period = Duration::from_secs(3600);
    let app = app(long, management()).task("worker", move |shutdown| {
        let until = until.clone();
        async move {
            shutdown.cancelled().await;
            until.notified().await;
            Ok::<(), Infallible>(())
        }
    });
    let app = TestApp::run(app).await;
    assert_eq!(app.get("/work").await.status(), 200);
    app.shutdown.cancel();
    while TcpStream::connect(app.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let scraped = app.managed("/metrics").await;
    assert_eq!(scraped.status(), 200);
    assert_eq!(scraped.headers()["connection"], "close");
    assert!(!app.ended.is_finished());
    leave.notify_one();
    app.ended.await.unwrap().unwrap();
    assert!(TcpStream::connect(app.management.unwrap()).await.is_err(), "its port is closed");
}

#[tokio::test]
async fn a_port_for_operators_that_is_taken_is_named() {
    let taken = TestApp::run(app(settings(), management())).await;
    let port = taken.management.unwrap().port();
    let same = ManagementSettings { port: chassis::ManagementPort::Own(port), ..management() };
    let error = app(settings(), same).bind().await.err().unwrap().to_string();
    assert!(error.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{error}");
}

#[tokio::test]
async fn pages_that_may_call_for_customers_may_not_call_for_operators() {
    let allowed_origins = vec!["https://app.example.com".to_owned()];
    let cors = CorsSettings { allowed_origins, ..CorsSettings::default() };
    let app = TestApp::run(app(settings(), management()).cors(cors)).await;
    let preflight = async |url: String| {
        let request = app.http.request(Method::OPTIONS, url);
        let request = request.header("origin", "https://app.example.com");
        let request = request.header("access-control-request-method", "GET");
        let answer = request.send().await.unwrap();
        answer.headers().contains_key("access-control-allow-origin")
    };
    let managed = format!("http://{}/admin/things", app.management.unwrap());
    assert!(preflight(app.url("/work")).await);
    assert!(!preflight(managed).await);
}
