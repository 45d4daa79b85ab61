//! Every error is a problem document with a request id: on every path, of every method, and from the
//! server itself when what came is no request.

use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{TestApp, settings};

fn routes() -> Router {
    let plain = || async { (http::StatusCode::IM_A_TEAPOT, "a plain text") };
    Router::new()
        .route("/orders", post(async || "made"))
        .route("/orders/{id}", get(async || "shown").delete(async || "gone"))
        .route("/plain", get(plain))
        .route("/panic", get(async || -> String { panic!("it holds a card number") }))
}

/// An answer as it came over the wire.
struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: Value,
}

/// What is answered to these bytes; the connection is closed by the server.
async fn answer(app: &TestApp, request: &str) -> Answer {
    let mut connection = TcpStream::connect(app.address).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    connection.read_to_end(&mut text).await.unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.map_or(0, |status| status.parse().unwrap());
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let body = serde_json::from_str(body).unwrap_or(Value::Null);
    Answer { status, headers: headers.collect(), body }
}

/// What is wrong with an answer that is to be a problem of this status.
fn faults(answer: &Answer, status: u16, has_body: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let mut expect = |is_so: bool, what: String| {
        if !is_so {
            faults.push(what);
        }
    };
    let text = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
    expect(answer.status == status, format!("the status is {}", answer.status));
    let kind = text("content-type");
    expect(kind == Some("application/problem+json"), format!("the content type is {kind:?}"));
    expect(text("x-request-id").is_some_and(|id| !id.is_empty()), "no x-request-id".to_owned());
    let cached = text("cache-control");
    expect(cached == Some("no-store"), format!("the cache is told {cached:?}"));
    let told = answer.body["status"].as_u64();
    expect(!has_body || told == Some(status.into()), format!("the body is {}", answer.body));
    let kind = answer.body["type"].as_str().unwrap_or_default();
    // Of a status that the chassis never gives, there is nothing more to say.
    let is_named = kind.starts_with("/problems/") || (status == 418 && kind == "about:blank");
    expect(!has_body || is_named, "the body names no kind".to_owned());
    let allow = text("allow");
    expect(status != 405 || allow.is_some(), "no Allow".to_owned());
    faults
}

#[tokio::test]
async fn every_error_is_a_problem_document_with_a_request_id() {
    let app = TestApp::start(settings(), routes()).await;
    let request =
        |line: &str| format!("{line} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    let long = format!("GET /live HTTP/1.1\r\nhost: test\r\nx-long: {}", "x".repeat(16384));
    let target = format!("GET /{} HTTP/1.1\r\nhost: test\r\n\r\n", "x".repeat(70_000));
    let mut wrong = Vec::new();
    for (text, status) in [
        (request("GET /nowhere"), 404),
        ("GET /live HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n".to_owned(), 400),
        ("GET /live HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(), 400),
        (request("HEAD /nowhere"), 404),
        (request("GET /"), 404),
        (request("GET /orders/1/more"), 404),
        (request("GET /orders"), 405),
        (request("PUT /orders/1"), 405),
        (request("BREW /orders/1"), 405),
        (request("OPTIONS /orders/1"), 405),
        (request("TRACE /orders/1"), 405),
        (request("GET /plain"), 418),
        (request("GET /panic"), 500),
        (request("POST /health"), 405),
        (request("DELETE /health"), 405),
        (request("POST /live"), 405),
        (request("PUT /ready"), 405),
        (request("GET /health/x"), 404),
        (request("GET /live/"), 404),
        (request("POST /metrics"), 405),
        (request("GET /metrics/x"), 404),
        (request("GET /docs/.."), 404),
        (request("GET /docs/../../etc/passwd"), 404),
        (request("GET /docs/nothing"), 404),
        (request("GET /docs/nothing/at/all"), 404),
        (request("HEAD /docs/nothing"), 404),
        (request("POST /docs/"), 405),
        (request("POST /docs/index.html"), 405),
        (request("POST /openapi.json"), 405),
        (request("GET /openapi.json/x"), 404),
        (request("GET /openapi.yaml"), 404),
        (request("OPTIONS *"), 404),
        (request("CONNECT test:80"), 404),
        ("nonsense\r\n\r\n".to_owned(), 400),
        ("GET /live HTTP/1.1\r\nhost: test\r\nno colon\r\n\r\n".to_owned(), 400),
        ("GET /live HTTP/9.9\r\nhost: test\r\n\r\n".to_owned(), 400),
        ("GET /l ive HTTP/1.1\r\nhost: test\r\n\r\n".to_owned(), 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
        (
            "POST /orders HTTP/1.1\r\nhost: test\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"
                .to_owned(),
            400,
        ),
        ("POST /orders HTTP/1.1\r\nhost: test\r\ntransfer-encoding: gzip\r\n\r\n".to_owned(), 400),
        (
            "POST /orders HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"
                .to_owned(),
            400,
        ),
        ("POST /orders HTTP/1.1\r\nhost: test\r\ncontent-length: 100000\r\n\r\n".to_owned(), 413),
        (format!("GET /live HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101)), 431),
        (long, 431),
        (target, 431),
    ] {
        let found = answer(&app, &text).await;
        let line: String = text.chars().take_while(|letter| *letter != '\r').take(60).collect();
        let faults = faults(&found, status, !line.starts_with("HEAD"));
        if !faults.is_empty() {
            wrong.push(format!("{status} {line}: {}", faults.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "{} are no problem documents:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_target_that_is_too_long_is_a_problem_document() {
    let mut roomy = settings();
    roomy.head_limit = 1 << 20;
    let app = TestApp::start(roomy, routes()).await;
    let target = format!("GET /{} HTTP/1.1\r\nhost: test\r\n\r\n", "x".repeat(70_000));
    assert_eq!(faults(&answer(&app, &target).await, 414, true), Vec::<String>::new());
}

#[tokio::test]
async fn a_head_that_does_not_end_is_a_problem_document() {
    let mut hurried = settings();
    hurried.head_timeout = Duration::from_millis(50);
    let app = TestApp::start(hurried, routes()).await;
    let half = "GET /live HTTP/1.1\r\nhost: test\r\n";
    assert_eq!(faults(&answer(&app, half).await, 408, true), Vec::<String>::new());
}

#[tokio::test]
async fn a_request_that_makes_room_for_another_connection_is_a_problem_document() {
    let mut limited = settings();
    (limited.connection_limit, limited.concurrency_limit) = (2, 1);
    limited.service_concurrency_limit = 0;
    let app = TestApp::start(limited, routes()).await;
    let half = "GET /live HTTP/1.1\r\nhost: test\r\n";
    let body = "POST /orders HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\n{";
    for begun in [half, body] {
        let others = async {
            loop {
                let mut younger = Vec::new();
                for _ in 0..3 {
                    younger.push(TcpStream::connect(app.address).await);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        let answered = tokio::select! {
            answered = answer(&app, begun) => answered,
            () = others => unreachable!("others come for ever"),
        };
        assert_eq!(faults(&answered, 503, true), Vec::<String>::new());
        assert_eq!(answered.headers["retry-after"], "1");
    }
}
