//! What browsers and caches are told, and conditional reads.

use axum::Router;
use axum::routing::{get, post};
use chassis::CorsSettings;
use chassis::extract::{ETag, IfMatch, Json, MergePatch};
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{TestApp, builder, open, settings};

/// Version 1 of a thing.
async fn show() -> (ETag, &'static str) {
    (ETag(1), "a thing")
}

async fn change(seen: IfMatch, MergePatch(change): MergePatch<Value>) -> (StatusCode, String) {
    let status = if seen.admits(1) { StatusCode::OK } else { StatusCode::PRECONDITION_FAILED };
    (status, change.to_string())
}

fn routes() -> Router {
    Router::new()
        .route("/thing", get(show).patch(change))
        .route("/untagged", get(async || "no tag"))
        .route("/orders", post(async |Json(order): Json<Value>| order.to_string()))
}

async fn app() -> TestApp {
    TestApp::start(settings(), routes()).await
}

/// An app that pages of these origins may call.
async fn app_for(origins: &[&str]) -> TestApp {
    let allowed_origins = origins.iter().map(|&origin| origin.to_owned()).collect();
    let cors = CorsSettings { allowed_origins, ..CorsSettings::default() };
    TestApp::run(builder(settings()).routes(open(routes())).cors(cors)).await
}

/// The answer to a GET with this header in so many lines.
async fn read(app: &TestApp, path: &str, name: &'static str, lines: &[&str]) -> reqwest::Response {
    let request = app.http.get(app.url(path));
    let request = lines.iter().fold(request, |request, line| request.header(name, *line));
    request.send().await.unwrap()
}

#[tokio::test]
async fn what_the_caller_has_already_is_not_sent_again() {
    let app = app().await;
    for (lines, status) in [
        (&["\"1\""][..], 304),
        (&["W/\"1\""], 304),
        (&["*"], 304),
        (&["\"0\", \"1\""], 304),
        (&["\"0\"", "\"1\""], 304),
        (&["\"01\""], 200),
        (&["\"2\""], 200),
        (&["1"], 200),
    ] {
        let answer = read(&app, "/thing", "if-none-match", lines).await;
        assert_eq!(answer.status().as_u16(), status, "{lines:?}");
        let headers = answer.headers().clone();
        assert_eq!(headers["etag"], "\"1\"", "{lines:?}");
        assert_eq!(headers["cache-control"], "private, no-cache", "{lines:?}");
        let text = answer.text().await.unwrap();
        let (body, kind) =
            if status == 304 { ("", None) } else { ("a thing", Some("text/plain; charset=utf-8")) };
        assert_eq!(text, body, "{lines:?}");
        assert_eq!(headers.get("content-type").map(|kind| kind.to_str().unwrap()), kind);
    }
    assert_eq!(read(&app, "/untagged", "if-none-match", &["*"]).await.status(), 200);
    let head = app.http.head(app.url("/thing")).header("if-none-match", "*").send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), &head.headers()["content-length"]),
        (304, &"7".parse().unwrap())
    );
}

#[tokio::test]
async fn a_read_of_another_version_than_it_asks_for_is_a_412() {
    let app = app().await;
    for (lines, status) in
        [(&["\"1\""][..], 200), (&["*"], 200), (&["W/\"1\""], 412), (&["\"2\""], 412)]
    {
        let answer = read(&app, "/thing", "if-match", lines).await;
        assert_eq!(answer.status().as_u16(), status, "{lines:?}");
    }
}

#[tokio::test]
async fn a_patch_is_a_merge_patch_and_any_other_kind_is_refused() {
    let app = app().await;
    for (kind, status) in [
        ("application/merge-patch+json", 200),
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("application/json-patch+json", 415),
        ("application/vnd.api+json", 415),
        ("application/problem+json", 415),
        ("text/json", 415),
    ] {
        let request = app.http.patch(app.url("/thing")).header("content-type", kind);
        let answer = request.header("if-match", "*").body("{}").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{kind}");
    }
    let post =
        |kind: &str| app.http.post(app.url("/orders")).header("content-type", kind).body("{}");
    assert_eq!(post("application/json").send().await.unwrap().status(), 200);
    assert_eq!(post("application/merge-patch+json").send().await.unwrap().status(), 415);
    let packed = post("application/json").header("content-encoding", "gzip");
    assert_eq!(packed.send().await.unwrap().status(), 415);
}

#[tokio::test]
async fn a_header_that_says_one_thing_and_comes_twice_is_a_400() {
    let app = app().await;
    for (twice, name) in [
        ("host: test\r\n", "host"),
        ("content-type: application/json\r\n", "content-type"),
        ("authorization: Bearer a\r\n", "authorization"),
        ("idempotency-key: a\r\n", "idempotency-key"),
    ] {
        let once = ["host: test\r\n", "content-type: application/json\r\n"];
        let rest: String = once.into_iter().filter(|line| *line != twice).collect();
        let head = format!(
            "POST /orders HTTP/1.1\r\n{twice}{twice}{rest}content-length: 2\r\nconnection: close\r\n\r\n{{}}"
        );
        let answer = exchange(&app, &head).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains(&format!("send one {name} header")), "{answer}");
    }
    for lengths in ["content-length: 2\r\ncontent-length: 3\r\n", "content-length: 2, 3\r\n"] {
        let head = format!(
            "POST /orders HTTP/1.1\r\nhost: test\r\n{lengths}connection: close\r\n\r\n{{}}"
        );
        assert!(exchange(&app, &head).await.starts_with("HTTP/1.1 400 "), "{lengths}");
    }
    let nowhere = "GET /thing HTTP/1.1\r\nconnection: close\r\n\r\n";
    assert!(exchange(&app, nowhere).await.contains("the Host header is missing"));
    let old = "GET /thing HTTP/1.0\r\nconnection: close\r\n\r\n";
    assert!(exchange(&app, old).await.starts_with("HTTP/1.0 200 "));
}

async fn exchange(app: &TestApp, text: &str) -> String {
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn every_answer_tells_browsers_what_it_is_not() {
    let app = app().await;
    for path in ["/thing", "/nowhere", "/live", "/health", "/metrics", "/openapi.json", "/docs/"] {
        let headers = app.get(path).await.headers().clone();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin", "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{path}: {policy}");
        assert!(policy.ends_with("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(policy.contains("script-src"), path == "/docs/" || path == "/openapi.json");
        assert!(!headers.contains_key("strict-transport-security"), "{path}");
        assert!(headers.get_all("cache-control").iter().count() <= 1, "{path}: {headers:?}");
    }
}

#[tokio::test]
async fn an_answer_to_what_is_no_request_tells_browsers_the_same() {
    let answer = exchange(&app().await, "nonsense\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("x-content-type-options: nosniff\r\n"), "{answer}");
    assert!(answer.contains("content-security-policy: default-src 'none'; "), "{answer}");
}

#[tokio::test]
async fn the_page_of_the_documents_has_no_script_or_source_that_its_policy_keeps_out() {
    let app = app().await;
    let page = app.get("/docs/").await.text().await.unwrap();
    for (at, _) in page.match_indices("<script") {
        let tag = &page[at..];
        let (head, rest) = tag.split_once('>').unwrap();
        assert!(head.contains("src=\"./"), "{head}");
        assert!(rest.split("</script>").next().unwrap().trim().is_empty(), "{rest}");
    }
}

#[tokio::test]
async fn without_a_setting_no_page_of_another_origin_may_call() {
    let app = app().await;
    let answer = preflight(&app, "https://app.example.com").await;
    assert_eq!(answer.status(), 405);
    let answer = read(&app, "/thing", "origin", &["https://app.example.com"]).await;
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn pages_of_an_allowed_origin_may_call_and_those_of_another_may_not() {
    let app = app_for(&["https://app.example.com", "http://localhost:5173"]).await;
    for (origin, allowed) in [
        ("https://app.example.com", true),
        ("http://localhost:5173", true),
        ("https://app.example.com.evil.example", false),
        ("http://app.example.com", false),
        ("null", false),
    ] {
        let answer = preflight(&app, origin).await;
        assert!(answer.status().is_success(), "{origin}");
        assert!(answer.headers().contains_key("x-request-id"));
        assert_eq!(is_allowed(answer.headers(), origin), allowed, "{origin}");
        if allowed {
            let headers = answer.headers();
            let text = |name: &str| headers[name].to_str().unwrap().to_ascii_lowercase();
            assert!(text("access-control-allow-methods").contains("patch"));
            assert!(text("access-control-allow-headers").contains("idempotency-key"));
            assert!(!headers.contains_key("access-control-allow-credentials"));
        }
        for path in ["/thing", "/nowhere"] {
            let answer = read(&app, path, "origin", &[origin]).await;
            assert_eq!(is_allowed(answer.headers(), origin), allowed, "{origin} {path}");
            let vary = answer.headers().get_all("vary").iter();
            let vary: Vec<_> = vary.map(|line| line.to_str().unwrap()).collect();
            assert!(vary.join(",").contains("origin"), "{vary:?}");
            let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap();
            assert!(exposed.contains("etag") && exposed.contains("x-request-id"), "{exposed}");
        }
    }
}

async fn preflight(app: &TestApp, origin: &str) -> reqwest::Response {
    let request = app.http.request(Method::OPTIONS, app.url("/thing")).header("origin", origin);
    request.header("access-control-request-method", "PATCH").send().await.unwrap()
}

fn is_allowed(headers: &HeaderMap, origin: &str) -> bool {
    headers.get("access-control-allow-origin").is_some_and(|allowed| allowed == origin)
}

#[tokio::test]
async fn a_read_whose_condition_is_not_met_is_counted_as_it_was_answered() {
    let app = app().await;
    for (condition, tag, status) in [("if-none-match", "*", 304), ("if-match", "\"0\"", 412)] {
        let request = app.http.get(app.url("/thing")).header(condition, tag);
        assert_eq!(request.send().await.unwrap().status().as_u16(), status);
        let labels = format!(
            "{{http_request_method=\"GET\",http_response_status_code=\"{status}\",http_route=\"/thing\"}}"
        );
        let line = format!("http_server_request_duration_seconds_count{labels} 1");
        assert!(app.metrics().await.contains(&line), "{line}");
    }
}
