//! A replica of a service: a server with a few workers, whose times and faults a scenario changes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

/// Requests that it works on at a time.
const WORKERS: usize = 8;
/// Requests that wait for a worker; more are refused at once.
const QUEUE_MAX: usize = 64;
/// The mean time of one.
const SERVICE_TIME: Duration = Duration::from_millis(20);

/// What it does with requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    Well,
    /// Takes so many times as long.
    Slow(f64),
    /// Answers every third one with 500.
    FailsEveryThird,
    /// Answers 503 with a `Retry-After` of one second at once.
    Busy,
}

pub(crate) struct Replica {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    /// Of its own: when that ends, its sockets are closed, as with a process that is killed.
    runtime: Mutex<Option<Runtime>>,
}

struct Shared {
    mode: Mutex<Mode>,
    workers: Semaphore,
    waiting: AtomicUsize,
    requests: AtomicUsize,
    random: Mutex<fastrand::Rng>,
}

impl Replica {
    pub(crate) fn start(seed: u64) -> Self {
        let shared = Arc::new(Shared {
            mode: Mutex::new(Mode::Well),
            workers: Semaphore::new(WORKERS),
            waiting: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
        });
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let routes = Router::new()
            .route("/health", get(async || "well"))
            .route("/work", get(work))
            .with_state(shared.clone());
        runtime.spawn(async {
            axum::serve(TcpListener::from_std(listener).unwrap(), routes).await.unwrap();
        });
        Self { port, shared, runtime: Mutex::new(Some(runtime)) }
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap() = mode;
    }

    /// Ends it at once.
    pub(crate) fn kill(&self) {
        if let Some(runtime) = self.runtime.lock().unwrap().take() {
            runtime.shutdown_background();
        }
    }

    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn work(State(shared): State<Arc<Shared>>) -> Response {
    let number = shared.requests.fetch_add(1, Ordering::Relaxed);
    let mode = *shared.mode.lock().unwrap();
    if mode == Mode::Busy || shared.waiting.load(Ordering::Relaxed) > QUEUE_MAX {
        return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")]).into_response();
    }
    if mode == Mode::FailsEveryThird && number.is_multiple_of(3) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let _waiting = Waiting::new(&shared.waiting);
    let _worker = shared.workers.acquire().await.unwrap();
    let factor = if let Mode::Slow(factor) = mode { factor } else { 1.0 };
    let time = SERVICE_TIME.mul_f64(factor * shared.random.lock().unwrap().f64() * 2.0);
    tokio::time::sleep(time).await;
    r#"{"status":"active"}"#.into_response()
}

/// A request that is waiting or worked on, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
