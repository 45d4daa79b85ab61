//! Who calls: this workspace's client with and without each of its rules, and two others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use discovery::{Algorithm, Instance, LoadBalancingSettings, Registry};
use futures_util::future::BoxFuture;
use service_client::{Call, ClientSettings, ServiceClient};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::balance::p2c::Balance;
use tower::discover::Change;
use tower::load::{CompleteOnResponse, PeakEwma};
use tower::{Service, ServiceExt};

use crate::replica::Replica;
use crate::scenario::REPLICAS;

/// How long a caller waits.
const DEADLINE: Duration = Duration::from_secs(2);
/// Further attempts of the plain round robin.
const RETRIES: usize = 3;

/// Somebody who calls.
pub(crate) trait Caller: Sync {
    /// Whether there was an answer in time.
    fn call(&self) -> BoxFuture<'_, bool>;

    /// Another replica is there.
    fn knows(&self, replica: &Replica);
}

/// Each rule of the client, of which a contestant leaves one out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// As it is shipped, with a slow start.
    All,
    WithoutSuccessRate,
    WithLatency,
    WithoutHedging,
    WithoutAdaptiveConcurrency,
    WithoutSlowStart,
    P2c,
    RoundRobin,
    TowerP2c,
}

impl Contestant {
    pub(crate) const ALL: [Self; 9] = [
        Self::All,
        Self::WithoutSuccessRate,
        Self::WithLatency,
        Self::WithoutHedging,
        Self::WithoutAdaptiveConcurrency,
        Self::WithoutSlowStart,
        Self::P2c,
        Self::RoundRobin,
        Self::TowerP2c,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::All => "service-client",
            Self::WithoutSuccessRate => "without ejection by success rate",
            Self::WithLatency => "with ejection by latency",
            Self::WithoutHedging => "without hedging",
            Self::WithoutAdaptiveConcurrency => "without adaptive concurrency",
            Self::WithoutSlowStart => "without slow start",
            Self::P2c => "with algorithm p2c",
            Self::RoundRobin => "round robin, three retries",
            Self::TowerP2c => "tower's p2c, peak EWMA",
        }
    }

    /// The caller, who knows the first replicas.
    pub(crate) fn caller(self, replicas: &[Replica]) -> Box<dyn Caller> {
        let first = &replicas[..REPLICAS];
        match self {
            Self::RoundRobin => Box::new(RoundRobin::new(first)),
            Self::TowerP2c => Box::new(TowerP2c::new(first)),
            _ => Box::new(self.client(first)),
        }
    }

    fn client(self, replicas: &[Replica]) -> Client {
        let mut balancing = LoadBalancingSettings {
            slow_start: Duration::from_secs(5),
            outlier_interval: Duration::from_secs(1),
            ..LoadBalancingSettings::default()
        };
        let mut settings = ClientSettings::default();
        settings.client.attempt_timeout = Duration::from_secs(1);
        match self {
            Self::WithoutSuccessRate => balancing.success_rate_margin = 0,
            Self::WithLatency => balancing.latency_factor = 5,
            Self::WithoutHedging => settings.client.hedging = false,
            Self::WithoutAdaptiveConcurrency => settings.client.adaptive_concurrency = false,
            Self::WithoutSlowStart => balancing.slow_start = Duration::ZERO,
            Self::P2c => balancing.algorithm = Algorithm::P2c,
            Self::All | Self::RoundRobin | Self::TowerP2c => {}
        }
        let registry = Registry::new(&balancing);
        registry.replace(SERVICE, replicas.iter().map(instance).collect());
        let client = ServiceClient::new(SERVICE, &registry, &settings).unwrap();
        let ended = CancellationToken::new();
        tokio::spawn(registry.clone().run(ended.clone()));
        Client { service: client, registry, _checks: ended.drop_guard() }
    }
}

const SERVICE: &str = "user-service";

fn instance(replica: &Replica) -> Instance {
    Instance::new(SERVICE, "127.0.0.1", replica.port)
}

/// That of this workspace, with its health checks.
struct Client {
    service: ServiceClient,
    registry: Registry,
    _checks: DropGuard,
}

impl Caller for Client {
    fn call(&self) -> BoxFuture<'_, bool> {
        Box::pin(async {
            let call = Call::new("work").within(DEADLINE);
            self.service.get::<serde_json::Value>("/work", call).await.is_ok()
        })
    }

    fn knows(&self, replica: &Replica) {
        self.registry.register(instance(replica));
    }
}

/// One replica after the other, another one after an error, whatever it was.
struct RoundRobin {
    http: reqwest::Client,
    ports: RwLock<Vec<u16>>,
    turn: AtomicUsize,
}

impl RoundRobin {
    fn new(replicas: &[Replica]) -> Self {
        let ports = replicas.iter().map(|replica| replica.port).collect();
        Self { http: http(), ports: RwLock::new(ports), turn: AtomicUsize::new(0) }
    }

    fn next(&self) -> u16 {
        let ports = self.ports.read().unwrap();
        ports[self.turn.fetch_add(1, Ordering::Relaxed) % ports.len()]
    }
}

impl Caller for RoundRobin {
    fn call(&self) -> BoxFuture<'_, bool> {
        Box::pin(async {
            let attempts = async {
                for _ in 0..=RETRIES {
                    let attempt = send(&self.http, self.next());
                    if timeout(Duration::from_secs(1), attempt).await == Ok(true) {
                        return true;
                    }
                }
                false
            };
            timeout(DEADLINE, attempts).await.unwrap_or(false)
        })
    }

    fn knows(&self, replica: &Replica) {
        self.ports.write().unwrap().push(replica.port);
    }
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(32).build().unwrap()
}

async fn send(http: &reqwest::Client, port: u16) -> bool {
    let answer = http.get(format!("http://127.0.0.1:{port}/work")).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

/// tower's balancer, which is not shared: a lock is held while it picks, not while it waits. It knows
/// nothing of failures, and calls have one attempt.
struct TowerP2c {
    changes: tokio::sync::mpsc::UnboundedSender<Result<Change<u16, Measured>, Never>>,
    balance: tokio::sync::Mutex<Balance<Changes, ()>>,
}

type Never = std::convert::Infallible;
type Measured = PeakEwma<One>;

/// The replicas, as they come.
struct Changes(Mutex<tokio::sync::mpsc::UnboundedReceiver<Result<Change<u16, Measured>, Never>>>);

impl futures_util::Stream for Changes {
    type Item = Result<Change<u16, Measured>, Never>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        self.0.lock().unwrap().poll_recv(context)
    }
}

impl TowerP2c {
    fn new(replicas: &[Replica]) -> Self {
        let (changes, receiver) = tokio::sync::mpsc::unbounded_channel();
        let balance = Balance::new(Changes(Mutex::new(receiver)));
        let this = Self { changes, balance: tokio::sync::Mutex::new(balance) };
        for replica in replicas {
            this.knows(replica);
        }
        this
    }
}

impl Caller for TowerP2c {
    fn call(&self) -> BoxFuture<'_, bool> {
        Box::pin(async {
            let call = async {
                let mut balance = self.balance.lock().await;
                let answer = balance.ready().await.unwrap().call(());
                drop(balance);
                answer.await.unwrap()
            };
            timeout(DEADLINE, call).await.unwrap_or(false)
        })
    }

    fn knows(&self, replica: &Replica) {
        let one = One { http: http(), port: replica.port };
        let decay = Duration::from_secs(10).as_secs_f64() * 1e9;
        let first = Duration::from_millis(30);
        let one = PeakEwma::new(one, first, decay, CompleteOnResponse::default());
        self.changes.send(Ok(Change::Insert(replica.port, one))).unwrap();
    }
}

/// One replica, as a service.
struct One {
    http: reqwest::Client,
    port: u16,
}

impl Service<()> for One {
    type Response = bool;
    type Error = Never;
    type Future = BoxFuture<'static, Result<bool, Never>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Never>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        let http = self.http.clone();
        let port = self.port;
        Box::pin(async move { Ok(send(&http, port).await) })
    }
}
