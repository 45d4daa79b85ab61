//! A user-service as far as payment-service asks it: a real server that can go away and come back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Answers for users: active unless told otherwise.
#[derive(Clone, Default)]
struct Shared {
    /// Status words by user id. Four are no status of a user: `none` for one who is not there,
    /// `broken` and `forbidden` for a user-service that answers 500 and 403, `silent` for one that
    /// never answers.
    words: Arc<Mutex<HashMap<String, &'static str>>>,
    seen: Arc<Mutex<Vec<HeaderMap>>>,
}

pub(crate) struct Users {
    shared: Shared,
    port: u16,
    running: Option<CancellationToken>,
}

impl Users {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut users = Self { shared: Shared::default(), port, running: None };
        users.serve(listener);
        users
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn say(&self, id: &str, word: &'static str) {
        self.shared.words.lock().unwrap().insert(id.to_owned(), word);
    }

    /// The headers of the calls so far, health checks left out.
    pub(crate) fn seen(&self) -> Vec<HeaderMap> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(crate) async fn go_away(&mut self) {
        if let Some(running) = self.running.take() {
            running.cancel();
        }
        let address = ("127.0.0.1", self.port);
        testkit::eventually("nobody listens", async || {
            tokio::net::TcpStream::connect(address).await.is_err().then_some(())
        })
        .await;
    }

    pub(crate) async fn come_back(&mut self) {
        let address = ("127.0.0.1", self.port);
        let listener =
            testkit::eventually("the port is free", async || TcpListener::bind(address).await.ok());
        self.serve(listener.await);
    }

    fn serve(&mut self, listener: TcpListener) {
        let router = Router::new()
            .route("/api/users/{id}", get(show))
            .route("/health", get(async || "{}"))
            .with_state(self.shared.clone());
        let running = CancellationToken::new();
        let stop = running.clone();
        // Dropped at the stop, connections and all, as when a process is killed.
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                _ = async { axum::serve(listener, router).await } => {}
            }
        });
        self.running = Some(running);
    }
}

async fn show(
    Path(id): Path<String>,
    State(shared): State<Shared>,
    headers: HeaderMap,
) -> Response {
    shared.seen.lock().unwrap().push(headers);
    let word = shared.words.lock().unwrap().get(&id).copied().unwrap_or("active");
    match word {
        "none" => StatusCode::NOT_FOUND.into_response(),
        "broken" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "forbidden" => StatusCode::FORBIDDEN.into_response(),
        "silent" => std::future::pending().await,
        word => format!("{{\"user_id\":\"{id}\",\"status\":\"{word}\"}}").into_response(),
    }
}
