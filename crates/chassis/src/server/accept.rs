//! The accept loop.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{self, Shared};
use super::metrics;

/// After which a connection is asked for again when the process has no file left for one: long enough
/// for another one to end, and too short for a probe to notice.
const RETRY: Duration = Duration::from_millis(10);
/// Between two lines of the log that say so.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Connections that wait when the port closes, at most: what a backlog holds.
const BACKLOG: usize = 1024;
/// How long one of them has for the first byte of its request, which is there already as a rule.
const FIRST_BYTE: Duration = Duration::from_millis(250);

/// Takes connections on until it is told to end, and what waits in the backlog then.
pub(super) async fn run(shared: Shared, listener: TcpListener, ending: CancellationToken) {
    let mut connections = JoinSet::new();
    let mut logged = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = ending.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let taken = take(&shared, &mut connections, stream, peer);
                // The end does not wait for room.
                ending.run_until_cancelled(taken).await;
            }
            Err(error) if is_the_peers(&error) => {}
            Err(error) => cannot_accept(&shared, &error, &mut logged).await,
        }
    }
    if let Ok(listener) = listener.into_std() {
        take_waiting(&shared, &mut connections, &listener);
    }
    while connections.join_next().await.is_some() {}
}

/// Takes on what the kernel has taken on already: to close the listener would reset it.
fn take_waiting(shared: &Shared, connections: &mut JoinSet<()>, listener: &std::net::TcpListener) {
    // Asks the kernel itself: the runtime knows of new connections only after its next turn.
    for _ in 0..BACKLOG {
        let accepted = listener.accept().and_then(|(stream, peer)| {
            stream.set_nonblocking(true)?;
            Ok((TcpStream::from_std(stream)?, peer))
        });
        match accepted {
            Ok((stream, peer)) => {
                let Some(permit) = shared.connections.acquire().now_or_never() else { return };
                let shared = shared.clone();
                connections.spawn(async move {
                    let _ended_by_serving = timeout(FIRST_BYTE, stream.readable()).await;
                    connection::serve(shared, stream, peer, permit).await;
                });
            }
            Err(error) if is_the_peers(&error) => {}
            Err(_) => return,
        }
    }
}

async fn take(shared: &Shared, connections: &mut JoinSet<()>, stream: TcpStream, peer: SocketAddr) {
    let permit = shared.connections.acquire().await;
    connections.spawn(connection::serve(shared.clone(), stream, peer, permit));
}

/// The peer was gone before it was taken on.
fn is_the_peers(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}

/// The process or the machine has no file or memory left. One connection makes room.
async fn cannot_accept(shared: &Shared, error: &Error, logged: &mut Option<Instant>) {
    metrics::accept_failed(shared.service);
    if logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL) {
        *logged = Some(Instant::now());
        tracing::error!(error = %error, "connections cannot be taken on");
    }
    shared.connections.make_room();
    sleep(RETRY).await;
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail loudly")]
mod tests {
    use std::io::{Read, Write};

    use axum::{Router, routing::get};

    use super::*;
    use crate::ServerSettings;
    use crate::server::Server;
    use crate::settings::Audience;

    /// Of connections that the kernel has taken on, and nobody has accepted yet.
    #[tokio::test]
    async fn what_waits_in_the_backlog_when_the_port_closes_is_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = ServerSettings {
            connection_limit: 100,
            head_limit: 8192,
            ..ServerSettings::on_a_free_port()
        };
        let router = Router::new().route("/work", get(async || "done"));
        let server = Server::start("backlog", Audience::Operators, listener, router, &settings);
        // The runtime has one thread, which is here: nothing is accepted before the port is closed.
        let waiting: Vec<_> = std::iter::repeat_with(|| {
            let mut connection = std::net::TcpStream::connect(address).unwrap();
            connection.write_all(b"GET /work HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
            connection
        })
        .take(50)
        .collect();
        server.close();
        assert_eq!(server.ended(Instant::now() + Duration::from_secs(60)).await, 0);
        for mut connection in waiting {
            let mut answer = String::new();
            connection.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"), "{answer}");
        }
        std::net::TcpStream::connect(address).unwrap_err();
    }
}
