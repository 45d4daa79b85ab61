//! Connections that stall: none holds its place for longer than its limit, and none keeps others out.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use futures_util::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::{TestApp, settings};

/// A limit that a test waits for.
const SHORT: Duration = Duration::from_millis(100);
/// A limit that does not come while a test runs.
const LONG: Duration = Duration::from_secs(3600);
/// After which a connection is taken to be open for good.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const HALF_A_HEAD: &str = "GET /live HTTP/1.1\r\nhost: test\r\nx-half: ";
pub(crate) const IDLE_BODY: &str =
    "POST /orders HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\n";
pub(crate) const WHOLE: &str = "GET /live HTTP/1.1\r\nhost: test\r\n\r\n";

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/orders", post(async |body: String| body))
        .route("/work", get(async || "done"))
}

/// A connection over which so much has been sent.
pub(crate) async fn sent(app: &TestApp, text: &str) -> TcpStream {
    let mut connection = TcpStream::connect(app.address).await.unwrap();
    connection.write_all(text.as_bytes()).await.unwrap();
    connection
}

/// What comes until the server closes the connection.
async fn rest(mut connection: TcpStream) -> String {
    let mut text = String::new();
    let read = connection.read_to_string(&mut text);
    tokio::time::timeout(PATIENCE, read).await.expect("the connection is closed").unwrap();
    text
}

async fn is_open(connection: &mut TcpStream) -> bool {
    tokio::time::timeout(SHORT, connection.read(&mut [0])).await.is_err()
}

#[tokio::test]
async fn half_a_head_is_closed_when_its_time_is_up() {
    let mut hurried = settings();
    hurried.head_timeout = SHORT;
    let app = TestApp::start(hurried, routes()).await;
    let answer = rest(sent(&app, HALF_A_HEAD).await).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_when_its_time_is_up_used_or_not() {
    let mut hurried = settings();
    hurried.idle_timeout = SHORT;
    let app = TestApp::start(hurried, routes()).await;
    assert_eq!(rest(sent(&app, "").await).await, "");
    assert!(rest(sent(&app, WHOLE).await).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_body_that_does_not_come_takes_no_place_and_is_answered_408() {
    let mut limited = settings();
    limited.concurrency_limit = 1;
    limited.body_timeout = Duration::from_secs(1);
    let app = TestApp::start(limited, routes()).await;
    let idle = sent(&app, IDLE_BODY).await;
    assert_eq!(app.get("/work").await.status(), 200);
    let answer = rest(idle).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("/problems/request-timeout"), "{answer}");
    assert_eq!(app.metric("service_requests_shed_total").await, 0);
}

/// Strangers with bodies as large as they may be must not take the memory of the process, nor keep
/// out those whose bodies are small, as nearly all are.
#[tokio::test]
async fn while_large_bodies_take_the_budget_further_large_ones_get_503_and_small_ones_are_served() {
    let mut roomy = settings();
    roomy.body_limit = 8 << 20;
    let length = async |body: Bytes| body.len().to_string();
    let app = TestApp::start(roomy, Router::new().route("/length", post(length))).await;
    let posted = async |bytes: usize| {
        let request = app.http.post(app.url("/length")).body(vec![b'x'; bytes]);
        // One that is refused before it has been sent may not hear why.
        request.send().await.ok().map(|answer| answer.status().as_u16())
    };
    assert_eq!(posted(64 << 10).await, Some(200));
    let head = "POST /length HTTP/1.1\r\nhost: test\r\ncontent-length: 8388608\r\n\r\n";
    let mut greedy = TcpStream::connect(app.address).await.unwrap();
    greedy.write_all(head.as_bytes()).await.unwrap();
    greedy.write_all(&vec![b'x'; (8 << 20) - 1]).await.unwrap();

    until(async || posted(64 << 10).await == Some(503)).await;
    assert_eq!(posted(4 << 10).await, Some(200));

    drop(greedy);
    until(async || posted(64 << 10).await == Some(200)).await;
}

/// Waits until it is so.
async fn until(is_so: impl AsyncFn() -> bool) {
    while !is_so().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Tells when it is dropped.
struct Held(Arc<Notify>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// An answer without an end, of which nothing is made any more when its connection is gone.
pub(crate) fn endless() -> (Router, Arc<Notify>) {
    let gone = Arc::new(Notify::new());
    let told = gone.clone();
    let route = move || {
        let held = Arc::new(Held(told.clone()));
        let pieces = stream::repeat_with(move || {
            let _held = &held;
            Ok::<_, std::io::Error>(vec![b'x'; 65536])
        });
        async { Body::from_stream(pieces) }
    };
    (Router::new().route("/endless", get(route)), gone)
}

#[tokio::test]
async fn a_reader_who_takes_nothing_of_an_answer_is_cut_off() {
    let mut hurried = settings();
    hurried.write_timeout = SHORT;
    let (routes, gone) = endless();
    let app = TestApp::start(hurried, routes).await;
    let _reader = sent(&app, "GET /endless HTTP/1.1\r\nhost: test\r\n\r\n").await;
    tokio::time::timeout(PATIENCE, gone.notified()).await.expect("the connection is closed");
}

#[tokio::test]
async fn when_all_connections_are_taken_the_one_that_has_waited_longest_makes_room() {
    let mut limited = settings();
    (limited.connection_limit, limited.concurrency_limit) = (4, 1);
    limited.service_concurrency_limit = 1;
    (limited.head_timeout, limited.body_timeout, limited.idle_timeout) = (LONG, LONG, LONG);
    let app = TestApp::start(limited, routes()).await;
    let mut stalled = Vec::new();
    for text in [HALF_A_HEAD, IDLE_BODY, "", HALF_A_HEAD] {
        stalled.push(sent(&app, text).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(
        rest(sent(&app, &WHOLE.replace("host", "connection: close\r\nhost")).await)
            .await
            .contains("200 OK")
    );
    let mut open = Vec::new();
    for connection in &mut stalled {
        open.push(is_open(connection).await);
    }
    assert_eq!(open, [false, true, true, true]);
}

#[tokio::test]
async fn a_thousand_stalled_connections_keep_no_probe_out_and_no_request() {
    let mut limited = settings();
    (limited.head_timeout, limited.body_timeout, limited.idle_timeout) = (LONG, LONG, LONG);
    let app = TestApp::start(limited, routes()).await;
    let mut stalled = Vec::new();
    for number in 0..1000 {
        let text = [HALF_A_HEAD, IDLE_BODY, ""][number % 3];
        // Those before it may have had to go.
        if let Ok(mut connection) = TcpStream::connect(app.address).await {
            let _ = connection.write_all(text.as_bytes()).await;
            stalled.push(connection);
        }
    }
    for path in ["/live", "/ready", "/metrics", "/work"] {
        let fresh = reqwest::Client::new();
        let asked = tokio::time::timeout(PATIENCE, fresh.get(app.url(path)).send()).await;
        assert_eq!(asked.expect("it is answered").unwrap().status(), 200, "{path}");
    }
    assert!(app.metric("service_connections").await <= 256);
}

#[tokio::test]
async fn what_is_no_request_is_answered_with_a_problem_document() {
    let app = TestApp::start(settings(), routes()).await;
    let long = format!("GET /live HTTP/1.1\r\nhost: test\r\nx-long: {}", "x".repeat(16384));
    let many = format!("GET /live HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    for (text, status) in [("nonsense\r\n\r\n", 400), (&long, 431), (&many, 431)] {
        let answer = rest(sent(&app, text).await).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("content-type: application/problem+json\r\n"), "{answer}");
        assert!(answer.contains(&format!("\"status\":{status}")), "{answer}");
    }
}
