//! Requests that fail, each with its own problem; and what every answer carries.

use std::io::Read as _;
use std::time::Duration;

use axum::routing::{get, post};
use axum::{Extension, Router};
use chassis::extract::{Json, Path};
use chassis::{ClientAddress, ServerSettings, TrustedProxies};
use flate2::read::GzDecoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{TestApp, held, settings};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    amount: u32,
}

fn routes() -> Router {
    Router::new()
        .route("/orders", post(async |Json(order): Json<Order>| order.amount.to_string()))
        .route("/orders/{id}", get(async |Path(id): Path<uuid::Uuid>| id.to_string()))
        .route("/panic", get(async || -> String { panic!("a card number: 4242424242424242") }))
        .route("/slow", get(std::future::pending::<String>))
}

async fn problem(response: reqwest::Response) -> (u16, String) {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert!(response.headers().contains_key("x-request-id"));
    let status = response.status().as_u16();
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body["status"], status);
    (status, body["type"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn each_bad_body_has_its_own_problem() {
    let app = TestApp::start(settings(), routes()).await;
    let json = "application/json";
    for (content_type, body, status, kind) in [
        ("text/plain", &b"{\"amount\": 1}"[..], 415, "/problems/media-type"),
        (json, b"{\"amount\": ", 400, "/problems/bad-request"),
        (json, b"{\"amount\": \"\xff\"}", 400, "/problems/bad-request"),
        (json, b"{\"amount\": \"one\"}", 422, "/problems/validation"),
        (json, b"{\"amount\": 1, \"more\": 2}", 422, "/problems/validation"),
        (json, &[b' '; 1025], 413, "/problems/too-large"),
    ] {
        let response = app.post("/orders", content_type, body).await;
        assert_eq!(problem(response).await, (status, kind.to_owned()));
    }
    assert_eq!(app.post("/orders", json, b"{\"amount\": 7}").await.text().await.unwrap(), "7");
}

#[tokio::test]
async fn a_body_that_hides_its_length_is_cut_off_at_the_limit() {
    let app = TestApp::start(settings(), routes()).await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let head = "POST /orders HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let chunk = format!("800\r\n{}\r\n0\r\n\r\n", " ".repeat(0x800));
    stream.write_all(format!("{head}{chunk}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("/problems/too-large"), "{answer}");
}

#[tokio::test]
async fn the_frameworks_own_rejections_are_problems_too() {
    let app = TestApp::start(settings(), routes()).await;
    assert_eq!(problem(app.get("/nowhere").await).await.0, 404);
    assert_eq!(problem(app.get("/orders").await).await.0, 405);
    assert_eq!(problem(app.get("/orders/not-a-uuid").await).await.0, 400);
}

#[tokio::test]
async fn a_panic_is_a_500_that_says_nothing_of_its_cause_and_the_service_goes_on() {
    let app = TestApp::start(settings(), routes()).await;
    let response = app.get("/panic").await;
    assert_eq!(response.status(), 500);
    assert!(!response.text().await.unwrap().contains("4242"));
    assert_eq!(app.get("/live").await.status(), 200);
}

#[tokio::test]
async fn a_handler_is_ended_at_the_services_own_limit() {
    let mut hurried = settings();
    hurried.request_timeout = Duration::from_millis(50);
    let app = TestApp::start(hurried, routes()).await;
    let response = app.get("/slow").await;
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(problem(response).await, (503, "/problems/unavailable".to_owned()));
    assert_eq!(app.metric("service_requests_timed_out_total").await, 1);
}

#[tokio::test]
async fn a_strangers_deadline_ends_no_handler() {
    let worked = || async {
        tokio::task::yield_now().await;
        "worked"
    };
    let app = TestApp::start(settings(), Router::new().route("/work", get(worked))).await;
    for deadline in ["0", "1"] {
        let request = app.http.get(app.url("/work")).header("x-deadline-ms", deadline);
        let response = request.send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "worked");
    }
    assert_eq!(app.metric("service_requests_timed_out_total").await, 0);
}

#[tokio::test]
async fn past_the_concurrency_limit_requests_are_refused_and_probes_are_not() {
    let (entered, leave, hold) = held();
    let mut limited = settings();
    limited.concurrency_limit = 1;
    let app = TestApp::start(limited, Router::new().route("/hold", hold)).await;
    let first = tokio::spawn(app.http.get(app.url("/hold")).send());
    entered.notified().await;
    assert_eq!(app.metric("service_requests_shed_total").await, 0);
    assert_eq!(problem(app.get("/hold").await).await.0, 503);
    assert_eq!(app.get("/ready").await.status(), 200);
    assert_eq!(app.metric("service_requests_shed_total").await, 1);
    assert_eq!(app.metric("service_requests_in_flight").await, 1);
    assert_eq!(app.metric("service_requests_in_flight_max").await, 1);
    leave.notify_one();
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    assert_eq!(app.metric("service_requests_in_flight").await, 0);
}

#[tokio::test]
async fn a_strangers_request_id_is_replaced_by_one_of_ours() {
    let app = TestApp::start(settings(), routes()).await;
    for with_token in [false, true] {
        let mut request = app.http.get(app.url("/nowhere")).header("x-request-id", "order-17");
        if with_token {
            request = request.bearer_auth("a-token-of-nobody");
        }
        let response = request.send().await.unwrap();
        assert_ne!(response.headers()["x-request-id"], "order-17");
    }
}

#[tokio::test]
async fn metrics_count_requests_by_service_method_and_status() {
    let app = TestApp::start(settings(), routes()).await;
    app.get("/nowhere").await;
    let text = app.metrics().await;
    let line = "service_requests_total{method=\"GET\",service=\"test-service\",status=\"404\"}";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("service_request_duration_seconds_bucket"), "{text}");
}

#[tokio::test]
async fn by_route_metrics_show_templates_and_one_word_for_all_other_paths() {
    let app = TestApp::start(settings(), routes()).await;
    let id = uuid::Uuid::from_u128(7);
    app.get(&format!("/orders/{id}")).await;
    app.get("/no/such/path").await;
    let text = app.metrics().await;
    let count = |route: &str, status: u16| {
        let labels = format!(
            "{{http_request_method=\"GET\",http_response_status_code=\"{status}\",http_route=\"{route}\"}}"
        );
        text.contains(&format!("http_server_request_duration_seconds_count{labels} "))
    };
    assert!(count("/orders/{id}", 200) && count("unmatched", 404), "{text}");
    assert!(!text.contains(&id.to_string()) && !text.contains("/no/such/path"), "{text}");
}

#[tokio::test]
async fn health_has_the_seeds_body() {
    let app = TestApp::start(settings(), routes()).await;
    let body: serde_json::Value = app.get("/health").await.json().await.unwrap();
    assert_eq!(body["status"], "healthy");
    assert_eq!((&body["service"], &body["version"]), (&"test-service".into(), &"1.2.3".into()));
    assert!(body["timestamp"].is_string() && body["checks"].is_object());
}

#[tokio::test]
async fn the_scripts_and_styles_of_the_page_arrive_whole_as_gzip() {
    let app = TestApp::start(settings(), routes()).await;
    for (file, kind, part) in [
        ("swagger-ui-bundle.js", "text/javascript", "SwaggerUIBundle"),
        ("swagger-ui.css", "text/css", ".swagger-ui"),
    ] {
        let answer = app.get(&format!("/docs/{file}")).await;
        assert_eq!(answer.headers()["content-type"], kind);
        assert_eq!(answer.headers()["content-encoding"], "gzip");
        let stored = answer.bytes().await.unwrap();
        let mut text = String::new();
        // Its end has a sum and a length, which are compared.
        GzDecoder::new(&stored[..]).read_to_string(&mut text).unwrap();
        assert!(text.contains(part), "{file}");
    }
    let page = app.get("/docs/").await.text().await.unwrap();
    let start = app.get("/docs/page.js").await;
    assert_eq!(start.headers()["content-type"], "text/javascript");
    assert!(start.text().await.unwrap().contains("/openapi.json"));
    for file in ["swagger-ui-bundle.js", "swagger-ui.css", "page.js"] {
        assert!(page.contains(&format!("\"./{file}\"")), "{page}");
    }
}

#[tokio::test]
async fn the_api_document_and_its_page_are_served() {
    let app = TestApp::start(settings(), routes()).await;
    let api: serde_json::Value = app.get("/openapi.json").await.json().await.unwrap();
    assert!(api["openapi"].as_str().unwrap().starts_with("3."));
    let page = app.get("/docs/").await;
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("swagger-ui"));
    tokio::time::timeout(Duration::from_secs(10), async {
        app.shutdown.cancel();
        app.ended.await.unwrap().unwrap();
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn handlers_see_the_clients_address_behind_a_trusted_proxy() {
    let seen =
        async |Extension(ClientAddress(address)): Extension<ClientAddress>| address.to_string();
    let routes = || Router::new().route("/address", get(seen));
    let behind = ServerSettings {
        trusted_proxies: vec!["127.0.0.0/8".to_owned()].try_into().unwrap(),
        ..settings()
    };
    for (settings, expected) in [(settings(), "127.0.0.1"), (behind, "198.51.100.1")] {
        let app = TestApp::start(settings, routes()).await;
        let request = app.http.get(app.url("/address")).header("x-forwarded-for", "198.51.100.1");
        assert_eq!(request.send().await.unwrap().text().await.unwrap(), expected);
    }
    let fault = TrustedProxies::try_from(vec!["proxy".to_owned()]).unwrap_err();
    assert_eq!(fault, "`proxy` is neither an address nor a network");
}
