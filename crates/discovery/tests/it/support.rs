//! What the tests share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use discovery::{
    Discovery, DiscoverySettings, Instance, LoadBalancingSettings, PickOptions, ProviderType,
    Registry, Scheme, ServiceSettings, Services,
};
use tokio_util::sync::CancellationToken;
use tusk_config::HttpRequest;

pub(crate) const SERVICE: &str = "user-service";
/// Another one that is called.
pub(crate) const OTHER: &str = "other-service";
/// The port of all instances in tests of providers.
pub(crate) const PORT: u16 = 3001;

pub(crate) fn instance(port: u16) -> Instance {
    Instance::new(SERVICE, "127.0.0.1", port)
}

/// `services.tsk` with two services at one place.
pub(crate) fn services(host: &str, port: u16) -> Services {
    let settings = ServiceSettings {
        host: host.to_owned(),
        port,
        health_check: HttpRequest::get(format!("http://{host}:{port}/health")),
        version: "1.0.0".to_owned(),
        instances: Vec::new(),
        scheme: Scheme::Http,
        tls_name: String::new(),
    };
    BTreeMap::from([(SERVICE.to_owned(), settings.clone()), (OTHER.to_owned(), settings)])
}

/// Quick enough for a test; nothing is checked actively.
pub(crate) fn settings(r#type: ProviderType) -> DiscoverySettings {
    DiscoverySettings {
        r#type,
        refresh_interval: Duration::from_secs(1),
        removal_grace: Duration::from_millis(300),
        registration_ttl: Duration::from_secs(3),
        ..DiscoverySettings::default()
    }
}

pub(crate) fn unchecked() -> LoadBalancingSettings {
    LoadBalancingSettings {
        health_check_interval: Duration::ZERO,
        ..LoadBalancingSettings::default()
    }
}

/// Discovery of the one service, running until the guard is dropped.
pub(crate) struct Running {
    pub(crate) registry: Registry,
    shutdown: CancellationToken,
}

impl Running {
    pub(crate) fn start(settings: &DiscoverySettings) -> Self {
        let services = services("localhost", 3001);
        Self::of(Discovery::new(settings, &services, &unchecked(), &[SERVICE]).unwrap())
    }

    pub(crate) fn of(discovery: Discovery) -> Self {
        let registry = discovery.registry();
        let shutdown = CancellationToken::new();
        tokio::spawn(discovery.run(shutdown.clone()));
        Self { registry, shutdown }
    }

    pub(crate) fn known(&self) -> BTreeSet<u8> {
        self.known_of(SERVICE)
    }

    pub(crate) fn known_of(&self, service: &str) -> BTreeSet<u8> {
        let statuses = self.registry.statuses(service);
        statuses.iter().map(|(instance, _)| number(&instance.host)).collect()
    }

    pub(crate) async fn until_known(&self, wanted: &[u8]) {
        self.until_known_of(SERVICE, wanted).await;
    }

    pub(crate) async fn until_known_of(&self, service: &str, wanted: &[u8]) {
        let wanted = wanted.iter().copied().collect::<BTreeSet<_>>();
        let reached = || self.known_of(service) == wanted;
        until(&format!("{wanted:?} of {service} are known"), reached).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Where the instance of this number is in tests of providers: nobody calls it.
pub(crate) fn host(number: u8) -> String {
    format!("10.0.0.{number}")
}

pub(crate) fn number(host: &str) -> u8 {
    host.strip_prefix("10.0.0.").unwrap().parse().unwrap()
}

pub(crate) fn pick(registry: &Registry) -> u16 {
    registry.pick(SERVICE, &PickOptions::any()).unwrap().instance().port
}

/// Waits for a condition, at most half a minute.
pub(crate) async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let wait = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), wait).await.is_ok(), "never: {what}");
}

/// How often a provider's watch of the one service broke, as the metrics say.
pub(crate) fn provider_errors() -> u64 {
    provider_errors_of(SERVICE)
}

pub(crate) fn provider_errors_of(service: &str) -> u64 {
    let text = telemetry::metrics::render();
    let is_it = |line: &&str| {
        line.starts_with("discovery_provider_errors_total{") && line.contains(service)
    };
    let line = text.lines().find(is_it);
    line.map_or(0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

/// How often the set of picks was worked out.
pub(crate) fn rebuilds() -> u64 {
    let text = telemetry::metrics::render();
    let line = text.lines().find(|line| line.starts_with("discovery_set_rebuilds_total{"));
    line.map_or(0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

/// Waits until the watch breaks once more than `before`.
pub(crate) async fn until_broken(before: u64) {
    until("the watch breaks", || provider_errors() > before).await;
}

/// What a test asks a server with: on a new connection each time, since servers come and go.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()
}

/// A server inside the test's process that can really go away, with all of its connections.
pub(crate) struct Hosted {
    pub(crate) port: u16,
    router: axum::Router,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Hosted {
    pub(crate) fn start(router: axum::Router) -> Self {
        let mut hosted = Self { port: 0, router, runtime: None };
        hosted.come_back();
        hosted
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn go_down(&mut self) {
        // Not in a thread of a runtime, which may not wait.
        let runtime = self.runtime.take().unwrap();
        let end = move || runtime.shutdown_timeout(Duration::from_secs(5));
        std::thread::spawn(end).join().unwrap();
    }

    pub(crate) fn come_back(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.port = listener.local_addr().unwrap().port();
        let router = self.router.clone();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await
        });
        self.runtime = Some(runtime);
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        if self.runtime.is_some() {
            self.go_down();
        }
    }
}
