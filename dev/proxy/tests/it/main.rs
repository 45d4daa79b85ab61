//! The proxy, for real: sockets, files that are written while it runs, and a target that comes and goes.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]
#![allow(clippy::disallowed_methods, reason = "a test has no supervisor")]

use std::{
    io,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use dev_proxy::Files;
use faults::{Fault, FaultKind, Faults, Wire, Wires, now_ms};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};

/// How long anything that a test waits for may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
/// How long nothing is to be heard before a wire counts as silent.
const SILENCE: Duration = Duration::from_millis(300);

/// A proxy with one wire, `redis`, to a target that gives back what it gets.
struct Fixture {
    folder: TempDir,
    port: u16,
    target: Target,
    proxy: JoinHandle<io::Result<()>>,
}

impl Fixture {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port().await;
        let target = Target::start().await;
        let files = files(&folder);
        leads_to(&folder, port, target.port);
        let proxy = tokio::spawn(async move { dev_proxy::run(&files, |_| ()).await });
        let fixture = Self { folder, port, target, proxy };
        until("it answers", async || fixture.answers().await).await;
        fixture
    }

    /// Writes what goes wrong.
    fn set(&self, kind: Option<FaultKind>, until_ms: Option<u64>) {
        let fault = |kind| Fault { target: "redis".to_owned(), kind, since_ms: 0, until_ms };
        let faults = Faults { faults: kind.map(fault).into_iter().collect() };
        write(&files(&self.folder).faults, &serde_json::to_string(&faults).unwrap());
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await
    }

    /// Whether a new connection gives back what it gets.
    async fn answers(&self) -> bool {
        match self.connect().await {
            Ok(mut client) => echoes(&mut client, b"ping").await,
            Err(_) => false,
        }
    }

    async fn refuses(&self) -> bool {
        let connected = self.connect().await.map(drop);
        connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.proxy.abort();
    }
}

/// Gives back what it gets, and ends when its client does. It is gone when the value is dropped.
struct Target {
    port: u16,
    task: JoinHandle<()>,
}

impl Target {
    async fn start() -> Self {
        Self::at(0).await
    }

    async fn at(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let mut clients = tokio::task::JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                clients.spawn(async move {
                    let (mut from, mut to) = client.into_split();
                    let _broken_off = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        Self { port, task }
    }

    async fn stop(&mut self) {
        self.task.abort();
        let _aborted = (&mut self.task).await;
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn files(folder: &TempDir) -> Files {
    let path = |name: &str| folder.path().join(name);
    Files { wires: path("wires.json"), faults: path("faults.json") }
}

fn leads_to(folder: &TempDir, port: u16, target: u16) {
    let wire = Wire { port, target: format!("127.0.0.1:{target}") };
    let wires = Wires([("redis".to_owned(), wire)].into());
    write(&files(folder).wires, &serde_json::to_string(&wires).unwrap());
}

/// In one step, as the tool does.
fn write(path: &std::path::Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    listener.local_addr().unwrap().port()
}

async fn echoes(client: &mut TcpStream, said: &[u8]) -> bool {
    let mut heard = vec![0; said.len()];
    client.write_all(said).await.is_ok()
        && matches!(timeout(SILENCE, client.read_exact(&mut heard)).await, Ok(Ok(_)))
        && heard == said
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_slow_wire_keeps_the_order_of_all_bytes_and_the_end_of_each_side() {
    let fixture = Fixture::start().await;
    let by = Duration::from_millis(80);
    fixture.set(Some(FaultKind::Slow { by_ms: 80 }), None);
    until("it is slow", async || {
        let start = Instant::now();
        fixture.answers().await && start.elapsed() >= 2 * by
    })
    .await;

    // More than is under way at once, so that the sender has to wait for its turn.
    let said: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).take(1 << 20).collect();
    let (mut from, mut to) = fixture.connect().await.unwrap().into_split();
    let sent = said.clone();
    let sending = tokio::spawn(async move {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    });
    let mut heard = Vec::new();
    timeout(LIMIT, from.read_to_end(&mut heard)).await.unwrap().unwrap();
    sending.await.unwrap();
    assert!(heard == said, "{} of {} bytes", heard.len(), said.len());

    fixture.set(None, None);
    let mut client = fixture.connect().await.unwrap();
    until("it is quick", async || {
        let start = Instant::now();
        echoes(&mut client, b"ping").await && start.elapsed() < by
    })
    .await;
}

#[tokio::test]
async fn a_sender_waits_while_the_reader_takes_nothing() {
    let fixture = Fixture::start().await;
    for kind in [None, Some(FaultKind::Slow { by_ms: 1 })] {
        fixture.set(kind, None);
        let mut client = fixture.connect().await.unwrap();
        let chunk = vec![0; 1 << 20];
        let mut sent = 0;
        // The kernel's buffers hold some megabytes; what goes beyond would be the proxy's.
        while timeout(SILENCE, client.write_all(&chunk)).await.is_ok() {
            sent += 1;
            assert!(sent < 64, "{sent} MiB were taken, and nobody read them");
        }
    }
}

#[tokio::test]
async fn a_frozen_wire_says_nothing_and_loses_nothing() {
    let fixture = Fixture::start().await;
    let mut old = fixture.connect().await.unwrap();
    assert!(echoes(&mut old, b"before").await);
    fixture.set(Some(FaultKind::Freeze { process: None }), None);
    until("nothing is heard", async || !fixture.answers().await).await;

    let mut new = fixture.connect().await.expect("it takes connections");
    let mut byte = [0];
    for client in [&mut old, &mut new] {
        client.write_all(b"meanwhile").await.unwrap();
        assert!(timeout(SILENCE, client.read(&mut byte)).await.is_err(), "something was heard");
    }
    fixture.set(None, None);
    for client in [&mut old, &mut new] {
        let mut heard = [0; 9];
        timeout(LIMIT, client.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!(&heard, b"meanwhile");
    }
}

#[tokio::test]
async fn a_cut_wire_closes_and_refuses_and_keeps_its_port() {
    let fixture = Fixture::start().await;
    let mut old = fixture.connect().await.unwrap();
    assert!(echoes(&mut old, b"before").await);
    fixture.set(Some(FaultKind::Cut), None);
    let mut byte = [0];
    let ended = timeout(LIMIT, old.read(&mut byte)).await.expect("it is closed");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    until("it refuses", async || fixture.refuses().await).await;
    for _ in 0..100 {
        assert_ne!(free_port().await, fixture.port, "somebody else was given the port");
    }
    fixture.set(None, None);
    until("it answers", async || fixture.answers().await).await;
}

#[tokio::test]
async fn a_fault_ends_at_its_time_and_a_broken_file_changes_nothing() {
    let fixture = Fixture::start().await;
    fixture.set(Some(FaultKind::Cut), Some(now_ms() + 2_000));
    until("it refuses", async || fixture.refuses().await).await;
    write(&files(&fixture.folder).faults, "{");
    until("it answers", async || fixture.answers().await).await;
    assert!(!fixture.proxy.is_finished());
}

#[tokio::test]
async fn a_target_that_is_away_is_refused_until_it_is_back_or_has_moved() {
    let mut fixture = Fixture::start().await;
    fixture.target.stop().await;
    until("it refuses", async || fixture.refuses().await).await;
    fixture.target = Target::at(fixture.target.port).await;
    until("it answers", async || fixture.answers().await).await;

    // Connections that are open stay where they are.
    let mut old = fixture.connect().await.unwrap();
    assert!(echoes(&mut old, b"before").await);
    let mut moved = Target::start().await;
    leads_to(&fixture.folder, fixture.port, moved.port);
    moved.stop().await;
    until("it leads to who is away", async || fixture.refuses().await).await;
    assert!(echoes(&mut old, b"after").await);
}

#[tokio::test]
async fn a_port_that_somebody_has_ends_the_start_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = held.local_addr().unwrap().port();
    leads_to(&folder, port, 1);
    let error = dev_proxy::run(&files(&folder), |_| ()).await.unwrap_err().to_string();
    assert_eq!(error, format!("cannot listen on 127.0.0.1:{port}: Address already in use"));
}
