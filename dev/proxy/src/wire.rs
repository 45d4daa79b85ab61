//! One wire: a port that takes connections while its target does.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::sleep,
};

use crate::{Behaviour, connection};

/// Connections of one wire; those beyond wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 1000;
/// Connections that the kernel holds until they are taken.
const BACKLOG: u32 = 1024;
/// How often a target that refuses connections is asked whether it still does.
const PROBE: Duration = Duration::from_millis(25);
/// After something that failed for want of files or of the port.
const DELAY: Duration = Duration::from_millis(50);

/// Where a wire leads, and what happens on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) target: String,
    pub(crate) behaviour: Behaviour,
}

/// How a connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The target has not taken it.
    Refused,
    Closed,
}

/// A wire at its port.
pub(crate) struct Listening {
    port: u16,
    acceptor: Acceptor,
    permits: Arc<Semaphore>,
    connections: JoinSet<End>,
    /// Whether the target refused the last connection.
    is_absent: bool,
}

enum Acceptor {
    Open(TcpListener),
    /// The port is held by a socket that does not listen, so that the kernel refuses connections and
    /// gives the port to nobody else. None when that could not be done.
    Shut(Option<TcpSocket>),
}

impl Listening {
    /// Begins to listen.
    pub(crate) fn begin(port: u16) -> io::Result<Self> {
        let listener = bind(port).and_then(|socket| socket.listen(BACKLOG));
        let listener = listener.map_err(|error| {
            // As the services say it, so that the tool knows which port is taken.
            let what = "Address already in use";
            let why = match error.kind() {
                io::ErrorKind::AddrInUse => format!("127.0.0.1:{port}: {what}"),
                _ => format!("127.0.0.1:{port}: {error}"),
            };
            io::Error::new(error.kind(), format!("cannot listen on {why}"))
        })?;
        Ok(Self {
            port,
            acceptor: Acceptor::Open(listener),
            permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            connections: JoinSet::new(),
            is_absent: false,
        })
    }

    /// Takes connections until it is dropped.
    pub(crate) async fn run(mut self, mut link: watch::Receiver<Link>) {
        loop {
            let Link { target, behaviour } = link.borrow_and_update().clone();
            if behaviour == Behaviour::Cut {
                self.connections.shutdown().await;
            }
            let refuses = behaviour == Behaviour::Cut || self.is_absent;
            let is_as_it_should = self.turn(!refuses);
            tokio::select! {
                changed = link.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                Some((client, permit)) = accept(&self.acceptor, &self.permits) => {
                    let link = link.clone();
                    self.connections.spawn(async move {
                        let end = connection::run(client, link).await;
                        drop(permit);
                        end
                    });
                }
                Some(end) = self.connections.join_next() => {
                    self.is_absent |= matches!(end, Ok(End::Refused));
                }
                () = probe(&target), if self.is_absent && behaviour != Behaviour::Cut => {
                    self.is_absent = false;
                }
                () = sleep(DELAY), if !is_as_it_should => {}
            }
        }
    }

    /// Starts or stops listening; says whether it is so now.
    fn turn(&mut self, is_open: bool) -> bool {
        match (&mut self.acceptor, is_open) {
            (Acceptor::Open(_), true) | (Acceptor::Shut(Some(_)), false) => true,
            (Acceptor::Open(_) | Acceptor::Shut(None), false) => {
                // Two sockets cannot have the port while one of them listens.
                self.acceptor = Acceptor::Shut(None);
                let held = bind(self.port).ok();
                let is_held = held.is_some();
                self.acceptor = Acceptor::Shut(held);
                is_held
            }
            (Acceptor::Shut(held), true) => {
                let socket = held.take().map_or_else(|| bind(self.port), Ok);
                let listener = socket.and_then(|socket| socket.listen(BACKLOG));
                let is_open = listener.is_ok();
                self.acceptor = listener.map_or(Acceptor::Shut(None), Acceptor::Open);
                is_open
            }
        }
    }
}

fn bind(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections that have just ended do not keep the port.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}

/// The next connection, once there is a permit for it; none when it could not be taken.
async fn accept(
    acceptor: &Acceptor,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let Acceptor::Open(listener) = acceptor else {
        return std::future::pending().await;
    };
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((client, _)) => return Some((client, permit)),
            // For want of files as a rule.
            Err(_) => sleep(DELAY).await,
        }
    }
}

/// Waits until the target takes a connection, and takes it back.
async fn probe(target: &str) {
    loop {
        sleep(PROBE).await;
        if TcpStream::connect(target).await.is_ok() {
            return;
        }
    }
}
