//! The HTTP server: HTTP/1.1 on hyper, where no connection that stalls keeps others out.
//!
//! ```text
//! idle ──first byte──▶ head ──complete──▶ request (its body, its handler, its answer) ──▶ idle
//!  │ idle_timeout       │ head_timeout       │ body_timeout       │ write_timeout
//!  ▼ closed             ▼ 408, closed        ▼ 408 (middleware)   ▼ closed
//! ```
//!
//! At `connection_limit`, the connection that has waited for its peer for the longest time is closed
//! for the next one: whatever strangers leave half done, a probe is the youngest and gets through.
//! A connection whose request is in a handler is never closed for another one. So that there always
//! is one that waits, fewer requests are taken on than connections (see [`within_open_files`]).
//!
//! What is no request (400, 408, 414, 431) is answered with a problem document, too.

mod accept;
mod body;
mod connection;
mod connections;
mod io;
mod metrics;
mod open_files;
mod refusal;
mod state;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::ServerSettings;
use crate::settings::Audience;
use connections::Connections;

pub(crate) use open_files::within_open_files;

/// A server that runs. Dropping it cuts its connections off.
#[derive(Debug)]
pub(crate) struct Server {
    closing: CancellationToken,
    /// Cancelled when nothing more is to be accepted, at the latest when it closes.
    ending: CancellationToken,
    connections: Arc<Connections>,
    accepting: JoinSet<()>,
}

/// A longer limit is as good as none, and could not be added to the time of day.
const LIMIT_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a connection may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    idle: Duration,
    head: Duration,
    write: Duration,
    head_bytes: usize,
}

impl Limits {
    fn shortest(&self) -> Duration {
        self.idle.min(self.head).min(self.write)
    }
}

impl Server {
    /// Serves `router` on `listener` from now on. Each request has its peer's address as an extension
    /// (`ConnectInfo<SocketAddr>`). `service` is the label of its metrics.
    pub(crate) fn start(
        service: &'static str,
        audience: Audience,
        listener: TcpListener,
        router: Router,
        settings: &ServerSettings,
    ) -> Self {
        let closing = CancellationToken::new();
        let ending = closing.child_token();
        let connections = Arc::new(Connections::new(settings.connection_limit));
        if audience == Audience::Callers {
            metrics::show(service, &connections);
        }
        let limits = Limits {
            idle: settings.idle_timeout.min(LIMIT_MAX),
            head: settings.head_timeout.min(LIMIT_MAX),
            write: settings.write_timeout.min(LIMIT_MAX),
            head_bytes: settings.head_limit,
        };
        let shared = connection::Shared {
            service,
            router,
            limits,
            connections: connections.clone(),
            closing: closing.clone(),
        };
        let accepting = JoinSet::from_iter([accept::run(shared, listener, ending.clone())]);
        Self { closing, ending, connections, accepting }
    }

    /// Accepts what waits in the backlog, and nothing after that; connections go on.
    pub(crate) fn stop_accepting(&self) {
        self.ending.cancel();
    }

    /// Closes the port once what waits in its backlog is accepted, and ends at once every other
    /// connection without a request: idle ones, and those with half a head. Every other one ends with its
    /// answer, which says `Connection: close`.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }

    /// Waits for the requests in flight after [`close`](Self::close), until `deadline` at most; cuts
    /// off what is left then, and says how many connections that were.
    pub(crate) async fn ended(mut self, deadline: Instant) -> usize {
        let ended = async { while self.accepting.join_next().await.is_some() {} };
        match timeout_at(deadline, ended).await {
            Ok(()) => 0,
            Err(_) => self.connections.open(),
        }
    }
}
