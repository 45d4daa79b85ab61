//! A user-service as far as the others ask it whether a user is active: a real server that can go
//! away and come back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::eventually;

/// The server. It ends when this value is dropped.
#[derive(Debug)]
pub struct Users {
    shared: Arc<Mutex<Shared>>,
    port: u16,
    running: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    words: HashMap<String, &'static str>,
    seen: Vec<HeaderMap>,
}

impl Users {
    /// Starts on a free port of 127.0.0.1. Every user is active.
    pub async fn start() -> Self {
        let bound = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = bound.unwrap_or_else(|error| panic!("no port for user-service: {error}"));
        let port = listener.local_addr().map_or(0, |address| address.port());
        let mut users = Self { shared: Arc::default(), port, running: None };
        users.serve(listener);
        users
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The status to tell of a user from now on. Four words are no status: `none` for a user who is
    /// not there, `broken` and `forbidden` for a user-service that answers 500 and 403, `silent` for
    /// one that never answers.
    pub fn say(&self, id: &str, word: &'static str) {
        lock(&self.shared).words.insert(id.to_owned(), word);
    }

    /// The headers of the calls so far, health checks left out.
    pub fn seen(&self) -> Vec<HeaderMap> {
        lock(&self.shared).seen.clone()
    }

    /// Ends, connections and all, as when a process is killed.
    pub async fn go_away(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
        }
        let address = ("127.0.0.1", self.port);
        let gone = async || TcpStream::connect(address).await.is_err().then_some(());
        eventually("nobody listens where user-service was", gone).await;
    }

    /// Listens on its port again.
    pub async fn come_back(&mut self) {
        let address = ("127.0.0.1", self.port);
        let listener = async || TcpListener::bind(address).await.ok();
        self.serve(eventually("the port of user-service is free", listener).await);
    }

    fn serve(&mut self, listener: TcpListener) {
        let router = Router::new()
            .route("/api/users/{id}", get(show))
            .route("/health", get(async || "{}"))
            .with_state(Arc::clone(&self.shared));
        self.running = Some(tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        }));
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
        }
    }
}

async fn show(
    Path(id): Path<String>,
    State(shared): State<Arc<Mutex<Shared>>>,
    headers: HeaderMap,
) -> Response {
    let word = {
        let mut shared = lock(&shared);
        shared.seen.push(headers);
        shared.words.get(&id).copied().unwrap_or("active")
    };
    match word {
        "none" => StatusCode::NOT_FOUND.into_response(),
        "broken" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "forbidden" => StatusCode::FORBIDDEN.into_response(),
        "silent" => std::future::pending().await,
        word => format!("{{\"user_id\":\"{id}\",\"status\":\"{word}\"}}").into_response(),
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
