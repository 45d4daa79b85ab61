//! A proxy before an instance, whose answers to calls it spoils.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use testkit::ports;

/// What becomes of the calls to the instance. Its probes are answered as ever.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spoilt {
    /// Three of ten answers are held back for longer than anybody waits.
    ThreeOfTenHeldBack,
    /// Each answer takes so much longer.
    Later(Duration),
    /// Each call is told 503 at once, and to come back in a second.
    Busy,
}

/// The proxy. It passes everything on until its answers are spoilt.
#[derive(Clone)]
pub(super) struct Before {
    http: reqwest::Client,
    target: String,
    port: u16,
    spoilt: Spoilt,
    is_spoilt: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
}

impl Before {
    /// Listens before the instance at this port.
    pub(super) async fn start(target: u16, spoilt: Spoilt) -> Self {
        let port = ports::free_port();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let before = Self {
            http: reqwest::Client::new(),
            target: format!("http://127.0.0.1:{target}"),
            port,
            spoilt,
            is_spoilt: Arc::default(),
            calls: Arc::default(),
        };
        let router = Router::new().fallback(pass).with_state(before.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        before
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// From now on answers are spoilt.
    pub(super) fn spoil(&self) {
        self.is_spoilt.store(true, Ordering::SeqCst);
    }

    /// Calls that came since then.
    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

async fn pass(State(before): State<Before>, request: Request) -> Response {
    let is_call = request.uri().path().starts_with("/api/");
    if is_call && before.is_spoilt.load(Ordering::SeqCst) {
        let number = before.calls.fetch_add(1, Ordering::SeqCst);
        match before.spoilt {
            Spoilt::ThreeOfTenHeldBack if number * 7 % 10 >= 7 => {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            Spoilt::ThreeOfTenHeldBack => {}
            Spoilt::Later(time) => tokio::time::sleep(time).await,
            Spoilt::Busy => {
                return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")]).into_response();
            }
        }
    }
    let url = format!("{}{}", before.target, request.uri());
    let headers = request.headers().clone();
    let answer = before.http.get(url).headers(headers).send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    (status, answer.bytes().await.unwrap_or_else(|_| Bytes::new())).into_response()
}
