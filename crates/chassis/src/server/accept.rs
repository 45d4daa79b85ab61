//! The accept loop.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::connection::{self, Shared};
use super::metrics;

/// After which a connection is asked for again when the process has no file left for one: long enough
/// for another one to end, and too short for a probe to notice.
const RETRY: Duration = Duration::from_millis(10);
/// Between two lines of the log that say so.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Takes connections on until it is told to close.
pub(super) async fn run(shared: Shared, listener: TcpListener) {
    let mut connections = JoinSet::new();
    let mut told = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.closing.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let taken = take(&shared, &mut connections, stream, peer);
                // Closing does not wait for room.
                shared.closing.run_until_cancelled(taken).await;
            }
            Err(error) if is_the_peers(&error) => {}
            Err(error) => cannot_accept(&shared, &error, &mut told).await,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn take(shared: &Shared, connections: &mut JoinSet<()>, stream: TcpStream, peer: SocketAddr) {
    let place = shared.connections.place().await;
    connections.spawn(connection::serve(shared.clone(), stream, peer, place));
}

/// The peer was gone before it was taken on.
fn is_the_peers(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}

/// The process or the machine has no file or memory left. One connection makes room.
async fn cannot_accept(shared: &Shared, error: &Error, told: &mut Option<Instant>) {
    metrics::accept_failed(shared.service);
    if told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
        *told = Some(Instant::now());
        tracing::error!(error = %error, "connections cannot be taken on");
    }
    shared.connections.make_room();
    sleep(RETRY).await;
}
