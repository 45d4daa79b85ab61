//! The end of a service: what was begun is finished, then tasks end, then the process.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use chassis::CancellationToken;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::connections::{HALF_A_HEAD, IDLE_BODY, endless, routes, sent};
use crate::{TestApp, builder, held, open, settings};

/// Longer than any stop may take that a stalled connection must not hold up.
const PATIENCE: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_request_in_flight_is_answered_after_the_shutdown_began() {
    let (entered, leave, hold) = held();
    let app = TestApp::start(settings(), Router::new().route("/hold", hold)).await;
    let request = tokio::spawn(app.http.get(app.url("/hold")).send());
    entered.notified().await;
    app.shutdown.cancel();
    leave.notify_one();
    assert_eq!(request.await.unwrap().unwrap().text().await.unwrap(), "finished");
    app.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn while_the_drain_delay_lasts_the_service_answers_but_is_not_ready() {
    let mut slow = settings();
    slow.drain_delay = Duration::from_secs(5);
    let app = TestApp::start(slow, Router::new().route("/work", get(async || "done"))).await;
    assert_eq!(app.get("/ready").await.status(), 200);
    app.shutdown.cancel();
    while app.get("/ready").await.status() == 200 {}
    assert_eq!(app.get("/work").await.text().await.unwrap(), "done");
    assert!(!app.ended.is_finished());
    app.ended.abort();
}

const GET_WORK: &[u8] = b"GET /work HTTP/1.1\r\nhost: test\r\n\r\n";

/// A kept connection that is in use is told to end with its next answer, before it is ended.
#[tokio::test]
async fn while_it_drains_answers_say_that_the_connection_closes() {
    let mut slow = settings();
    slow.drain_delay = Duration::from_secs(5);
    let app = TestApp::start(slow, Router::new().route("/work", get(async || "done"))).await;
    let mut kept = TcpStream::connect(app.address).await.unwrap();
    kept.write_all(GET_WORK).await.unwrap();
    assert!(!answer(&mut kept).await.contains("connection: close"));
    app.shutdown.cancel();
    while app.get("/ready").await.status() == 200 {}
    kept.write_all(GET_WORK).await.unwrap();
    let mut last = String::new();
    kept.read_to_string(&mut last).await.unwrap();
    assert!(last.starts_with("HTTP/1.1 200 OK\r\n"), "{last}");
    assert!(last.contains("connection: close\r\n") && last.ends_with("done"), "{last}");
    app.ended.abort();
}

#[tokio::test]
async fn idle_connections_are_closed_and_hold_nothing_up() {
    let mut long = settings();
    long.grace_period = Duration::from_secs(3600);
    let app = TestApp::start(long, Router::new().route("/work", get(async || "done"))).await;
    let mut kept = TcpStream::connect(app.address).await.unwrap();
    kept.write_all(GET_WORK).await.unwrap();
    answer(&mut kept).await;
    // Taken on, as the one before it was, but never used.
    let mut unused = TcpStream::connect(app.address).await.unwrap();
    app.get("/work").await;
    app.shutdown.cancel();
    for connection in [&mut kept, &mut unused] {
        assert_eq!(connection.read(&mut [0]).await.unwrap(), 0, "closed, not broken off");
    }
    app.ended.await.unwrap().unwrap();
    assert!(TcpStream::connect(app.address).await.is_err(), "the port is closed");
}

/// The head of an answer and what came with it; the connection stays open.
async fn answer(connection: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.ends_with("done") {
        let mut piece = [0; 1024];
        let length = connection.read(&mut piece).await.unwrap();
        assert!(length > 0, "it ended early: {text}");
        text.push_str(std::str::from_utf8(&piece[..length]).unwrap());
    }
    text
}

/// It is stopped with an hour of grace while these connections stall; it ends without using it.
async fn ends_with(app: TestApp, stalled: Vec<TcpStream>) {
    // Each has been taken on: it was there before this one.
    app.get("/live").await;
    app.shutdown.cancel();
    let ended = tokio::time::timeout(PATIENCE, app.ended).await;
    ended.expect("the stop is not held up").unwrap().unwrap();
    drop(stalled);
}

#[tokio::test]
async fn half_a_head_ends_at_once_when_the_service_stops() {
    let mut long = settings();
    (long.grace_period, long.head_timeout) = (HOUR, HOUR);
    let app = TestApp::start(long, routes()).await;
    let half = sent(&app, HALF_A_HEAD).await;
    ends_with(app, vec![half]).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_holds_a_stop_up_for_its_own_limit_only() {
    let mut long = settings();
    (long.grace_period, long.request_timeout) = (HOUR, HOUR);
    long.body_timeout = Duration::from_millis(500);
    let app = TestApp::start(long, routes()).await;
    let idle = sent(&app, IDLE_BODY).await;
    ends_with(app, vec![idle]).await;
}

#[tokio::test]
async fn a_reader_who_takes_nothing_holds_a_stop_up_for_its_own_limit_only() {
    let mut long = settings();
    (long.grace_period, long.write_timeout) = (HOUR, Duration::from_millis(500));
    let app = TestApp::start(long, endless().0).await;
    let reader = sent(&app, "GET /endless HTTP/1.1\r\nhost: test\r\n\r\n").await;
    ends_with(app, vec![reader]).await;
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_outlast_the_grace_period() {
    let entered = Arc::new(Notify::new());
    let inside = entered.clone();
    let hang = move || {
        inside.notify_one();
        std::future::pending::<String>()
    };
    let mut short = settings();
    short.grace_period = Duration::from_millis(100);
    let app = TestApp::start(short, Router::new().route("/hang", get(hang))).await;
    let request = tokio::spawn(app.http.get(app.url("/hang")).send());
    entered.notified().await;
    app.shutdown.cancel();
    app.ended.await.unwrap().unwrap();
    request.abort();
}

/// A task finishes what it is at: a charge that was begun must not be cut off because somebody else's
/// connection stalls.
#[tokio::test]
async fn a_request_that_never_ends_leaves_the_tasks_their_share_of_the_grace_period() {
    let entered = Arc::new(Notify::new());
    let inside = entered.clone();
    let hang = move || {
        inside.notify_one();
        std::future::pending::<String>()
    };
    let routes = open(Router::new().route("/hang", get(hang)));
    let mut short = settings();
    short.grace_period = Duration::from_secs(2);
    let finished = Arc::new(AtomicBool::new(false));
    let finishes = finished.clone();
    let app = builder(short).routes(routes).task("charger", move |shutdown| {
        let finishes = finishes.clone();
        async move {
            shutdown.cancelled().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            finishes.store(true, Ordering::SeqCst);
            Ok::<(), Infallible>(())
        }
    });
    let app = app.bind().await.unwrap();
    let url = format!("http://{}/hang", app.address());
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(app.run(shutdown.clone()));
    let request = tokio::spawn(reqwest::get(url));
    entered.notified().await;
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert!(finished.load(Ordering::SeqCst));
    request.abort();
}

#[tokio::test]
async fn a_task_that_cannot_go_on_ends_the_service_with_its_error() {
    let app =
        builder(settings()).task("consumer", async |_| Err("the queue was declared otherwise"));
    let app = app.bind().await.unwrap();
    let error = app.run(CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "the queue was declared otherwise");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = TestApp::start(settings(), Router::new()).await;
    let mut same = settings();
    same.port = taken.address.port();
    let error = builder(same).bind().await.err().unwrap().to_string();
    assert!(
        error.contains(&format!("cannot listen on 127.0.0.1:{}", same_port(&taken))),
        "{error}"
    );
}

fn same_port(app: &TestApp) -> u16 {
    app.address.port()
}
