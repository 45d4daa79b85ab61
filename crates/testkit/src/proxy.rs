//! A wire between a client and a server that a test can cut or freeze.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::ports;

/// Bytes taken from one side before they are given to the other.
const CHUNK_BYTES: usize = 16 * 1024;

/// A TCP proxy on a loopback port, in front of one server.
///
/// | state | a new connection | an open one |
/// |---|---|---|
/// | open | is passed on | flows |
/// | frozen | is accepted, hears nothing | hears nothing; what was sent arrives after the thaw |
/// | cut | is refused | is gone |
///
/// The port stays the same through a cut. Each change has happened when its function returns. The
/// proxy ends, with all connections, when this value is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    commands: mpsc::Sender<Command>,
    open_connections: Arc<AtomicUsize>,
    client_bytes: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Command {
    change: Change,
    done: oneshot::Sender<()>,
}

#[derive(Debug)]
enum Change {
    State(State),
    Strand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Frozen,
    Cut,
}

impl Proxy {
    /// Listens on a free loopback port for `target` (`host:port`), which need not be there yet.
    pub async fn start(target: impl Into<String>) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free_port()));
        let listener = listen(address).await;
        let (commands, received) = mpsc::channel(1);
        let (open_connections, client_bytes) = (Arc::default(), Arc::default());
        let wire = Wire {
            address,
            target: target.into(),
            state: watch::channel(State::Open).0,
            stranded: Vec::new(),
            connections: JoinSet::new(),
            open_connections: Arc::clone(&open_connections),
            client_bytes: Arc::clone(&client_bytes),
        };
        let task = tokio::spawn(wire.run(listener, received));
        Self { address, commands, open_connections, client_bytes, task }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port of [`address`](Self::address).
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Connections that are open through the proxy now.
    pub fn connections(&self) -> usize {
        self.open_connections.load(Ordering::Relaxed)
    }

    /// Bytes that clients have sent to the server so far, over all connections.
    pub fn client_bytes(&self) -> u64 {
        self.client_bytes.load(Ordering::Relaxed)
    }

    /// Closes every connection and refuses new ones, as when a server dies.
    pub async fn cut(&self) {
        self.set(State::Cut).await;
    }

    /// Lets nothing through any more, without closing anything, as when a server hangs.
    pub async fn freeze(&self) {
        self.set(State::Frozen).await;
    }

    /// Freezes the connections that are open, for good; new ones flow, as after a machine behind an
    /// address was replaced by another one.
    pub async fn strand(&self) {
        self.send(Change::Strand).await;
    }

    /// Ends a freeze: what was sent meanwhile arrives.
    pub async fn thaw(&self) {
        self.set(State::Open).await;
    }

    /// Ends a cut, or a freeze: clients can connect again on the same port.
    pub async fn restore(&self) {
        self.set(State::Open).await;
    }

    async fn set(&self, state: State) {
        self.send(Change::State(state)).await;
    }

    async fn send(&self, change: Change) {
        let (done, wait) = oneshot::channel();
        let sent = self.commands.send(Command { change, done }).await;
        assert!(sent.is_ok() && wait.await.is_ok(), "the proxy at {} has ended", self.address);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The proxy's own task.
struct Wire {
    address: SocketAddr,
    target: String,
    state: watch::Sender<State>,
    /// What connections listen to that are frozen for good.
    stranded: Vec<watch::Sender<State>>,
    connections: JoinSet<()>,
    open_connections: Arc<AtomicUsize>,
    client_bytes: Arc<AtomicU64>,
}

impl Wire {
    async fn run(mut self, listener: TcpListener, mut commands: mpsc::Receiver<Command>) {
        // No listener is what refuses connections while the wire is cut.
        let mut listener = Some(listener);
        loop {
            tokio::select! {
                command = commands.recv() => {
                    let Some(Command { change, done }) = command else { return };
                    match change {
                        Change::State(state) => self.enter(state, &mut listener).await,
                        Change::Strand => self.strand(),
                    }
                    let _ = done.send(());
                }
                Some(client) = accept(listener.as_ref()) => {
                    let connection = Connection {
                        target: self.target.clone(),
                        state: self.state.subscribe(),
                        client_bytes: Arc::clone(&self.client_bytes),
                        _counted: Counted::new(&self.open_connections),
                    };
                    self.connections.spawn(connection.run(client));
                }
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    fn strand(&mut self) {
        self.state.send_replace(State::Frozen);
        self.stranded.push(std::mem::replace(&mut self.state, watch::channel(State::Open).0));
    }

    async fn enter(&mut self, state: State, listener: &mut Option<TcpListener>) {
        self.state.send_replace(state);
        if state == State::Cut {
            *listener = None;
            self.connections.shutdown().await;
        } else if listener.is_none() {
            *listener = Some(listen(self.address).await);
        }
    }
}

/// One client's connection and its counterpart at the server.
struct Connection {
    target: String,
    state: watch::Receiver<State>,
    client_bytes: Arc<AtomicU64>,
    _counted: Counted,
}

impl Connection {
    async fn run(mut self, client: TcpStream) {
        if wait_until_open(&mut self.state).await.is_err() {
            return;
        }
        let Ok(server) = TcpStream::connect(&self.target).await else {
            return;
        };
        // Small packets are what request and reply protocols send; they must not wait for more.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let uncounted = AtomicU64::new(0);
        tokio::join!(
            pump(from_client, to_server, self.state.clone(), &self.client_bytes),
            pump(from_server, to_client, self.state, &uncounted),
        );
    }
}

/// Passes one direction on until it ends, counting its bytes, then closes the other side's half.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    bytes: &AtomicU64,
) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        // The end of the stream counts as 0 bytes, and so does its breaking.
        let length = from.read(&mut chunk).await.unwrap_or(0);
        // Asked after the read: what came in while the wire was frozen must not get out either, nor
        // the news that one side has hung up.
        if wait_until_open(&mut state).await.is_err() || length == 0 {
            return;
        }
        bytes.fetch_add(length as u64, Ordering::Relaxed);
        if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}

async fn wait_until_open(
    state: &mut watch::Receiver<State>,
) -> Result<(), watch::error::RecvError> {
    state.wait_for(|state| *state == State::Open).await.map(drop)
}

/// The next client; never, while nobody listens.
async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.ok().map(|(client, _)| client),
        None => std::future::pending().await,
    }
}

async fn listen(address: SocketAddr) -> TcpListener {
    TcpListener::bind(address)
        .await
        .unwrap_or_else(|error| panic!("the proxy cannot listen on {address}: {error}"))
}

/// Counts itself while it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
