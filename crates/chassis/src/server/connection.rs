//! The life of one connection: hyper reads and answers, its state says when it is cut.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::body::{Arriving, Leaving};
use super::connections::{Connection, ConnectionPermit, Connections};
use super::io::Io;
use super::state::Cut;
use super::{Limits, metrics};

/// Fields of one request's head at most: hyper's own default, which it may change.
const HEADERS_MAX: usize = 100;
/// hyper's least size of a buffer, in bytes.
const BUFFER_MIN: usize = 8192;

/// What every connection of a server shares.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) service: &'static str,
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) connections: Arc<Connections>,
    pub(super) closing: CancellationToken,
}

/// Serves one connection until it ends or is cut.
pub(super) async fn serve(
    shared: Shared,
    stream: TcpStream,
    peer: SocketAddr,
    permit: ConnectionPermit,
) {
    let connection = permit.connection.clone();
    // An answer goes out in one write; nothing is to wait for more of it. Without, it is slower.
    let _ = stream.set_nodelay(true);
    let io = Io::new(stream, connection.clone());
    let routes = Routes { router: shared.router.clone(), peer, connection: connection.clone() };
    let mut http = http1::Builder::new();
    // The head's time is watched here, together with the others.
    http.header_read_timeout(None)
        .max_headers(HEADERS_MAX)
        .max_header_size(shared.limits.head_bytes)
        .max_buf_size(shared.limits.head_bytes.max(BUFFER_MIN));
    let mut http = http.serve_connection(io, routes);
    let ended = watched(&mut http, &shared, &connection).await;
    // Before the request is dropped, and with it what is known of it.
    let last_answer = ended.last_answer(&connection);
    let io = http.into_parts().io;
    if let Ended::Cut(cut) = ended {
        metrics::cut(shared.service, cut);
    }
    if let Some(status) = last_answer {
        io.refuse(status);
    } else if ended == Ended::Itself && connection.state.is_unread() {
        // Not for longer than others leave it its place.
        connection.leave.run_until_cancelled(io.linger()).await;
    }
    drop(permit);
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// By itself.
    Itself,
    /// Its peer speaks HTTP/2, which hyper leaves without an answer.
    OtherVersion,
    /// It has to be closed.
    Cut(Cut),
}

impl Ended {
    /// The status that the peer is told yet, where it can be.
    fn last_answer(self, connection: &Connection) -> Option<StatusCode> {
        match self {
            Self::Itself => None,
            Self::OtherVersion => Some(StatusCode::HTTP_VERSION_NOT_SUPPORTED),
            Self::Cut(cut) => connection.state.last_answer(cut),
        }
    }
}

/// Polls the connection until it ends by itself, or has to be cut.
async fn watched(
    http: &mut http1::Connection<Io, Routes>,
    shared: &Shared,
    connection: &Connection,
) -> Ended {
    let mut closing = pin!(shared.closing.cancelled());
    let mut leaving = pin!(connection.leave.cancelled());
    let mut timer = pin!(sleep_until(Instant::now() + shared.limits.idle));
    let (mut told, mut waited) = (false, false);
    poll_fn(|cx| {
        // First what has come, so that no request is cut that is there.
        if let Poll::Ready(ended) = Pin::new(&mut *http).poll(cx) {
            let is_other = ended.is_err_and(|error| error.is_parse_version_h2());
            return Poll::Ready(if is_other { Ended::OtherVersion } else { Ended::Itself });
        }
        let waits = connection.state.waits_since().is_some();
        if waits && !waited {
            shared.connections.waits();
        }
        waited = waits;
        let makes_room = leaving.as_mut().poll(cx).is_ready();
        if makes_room && waits {
            return Poll::Ready(Ended::Cut(Cut::Room));
        }
        if closing.as_mut().poll(cx).is_ready() || makes_room {
            if connection.state.is_without_request() {
                return Poll::Ready(Ended::Itself);
            }
            if !told {
                told = true;
                Pin::new(&mut *http).graceful_shutdown();
                cx.waker().wake_by_ref();
            }
        }
        overdue(timer.as_mut(), shared, connection, cx).map(Ended::Cut)
    })
    .await
}

/// Ready when a limit of the connection is over. The timer is moved only when it would ring too
/// late, and looked after when it rings too early: most requests do not touch it.
fn overdue(
    mut timer: Pin<&mut Sleep>,
    shared: &Shared,
    connection: &Connection,
    cx: &mut Context<'_>,
) -> Poll<Cut> {
    loop {
        let due = connection.state.deadline(&shared.limits);
        if let Some((at, _)) = due
            && at < timer.deadline()
        {
            timer.as_mut().reset(at);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        match due {
            Some((at, cut)) if at <= Instant::now() => return Poll::Ready(cut),
            Some((at, _)) => timer.as_mut().reset(at),
            // The next deadline is not before that.
            None => timer.as_mut().reset(Instant::now() + shared.limits.shortest()),
        }
    }
}

/// The router, for the requests of one connection.
struct Routes {
    router: Router,
    peer: SocketAddr,
    connection: Arc<Connection>,
}

impl hyper::service::Service<Request<Incoming>> for Routes {
    type Response = Response<Leaving>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let connection = self.connection.clone();
        connection.state.requested();
        let mut request =
            request.map(|body| Body::new(Arriving::new(body, self.connection.clone())));
        request.extensions_mut().insert(ConnectInfo(self.peer));
        // A router is ready at any time.
        let answer = self.router.clone().call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| Leaving::new(body, connection))) })
    }
}
