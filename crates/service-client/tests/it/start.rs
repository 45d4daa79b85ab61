//! A process that has just started: it is called before it knows whom to call.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use discovery::provider::{Provider, Sink};
use discovery::{
    Discovery, DiscoverySettings, Instance, LoadBalancingSettings, ProviderError, ProviderType,
    Scheme, ServiceSettings,
};
use futures_util::future::BoxFuture;
use service_client::{ClientSettings, Kind, ServiceClient};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tusk_config::HttpRequest;

use crate::{Server, counted, get, settings};

#[tokio::test]
async fn a_call_before_the_provider_has_told_the_instances_waits_for_them() {
    let (server, instance) = Server::start([]).await;
    let provider = Arc::<FakeProvider>::default();
    let (client, _running) = provider.client(&settings());
    let call = tokio::spawn(async move { get(&client).await });
    provider.asked.subscribe().wait_for(|asked| *asked).await.unwrap();
    assert!(!call.is_finished());

    provider.word.send_replace(Some(Ok(instance)));

    call.await.unwrap().unwrap();
    assert_eq!(server.calls(), 1);
    assert_eq!(counted("service_call_retries_total", ""), 0);
}

#[tokio::test]
async fn a_call_does_not_wait_for_a_provider_that_is_away() {
    let mut patient = settings();
    patient.retry.max_attempts = 1;
    patient.client.attempt_timeout = Duration::from_secs(3600);
    let provider = Arc::<FakeProvider>::default();
    provider.word.send_replace(Some(Err("no route")));
    let (client, _running) = provider.client(&patient);

    // Waiting, it would end at its deadline.
    assert!(matches!(get(&client).await.unwrap_err().kind, Kind::NoInstance));
}

#[tokio::test]
async fn a_call_waits_for_a_silent_provider_as_long_as_an_attempt_may_take() {
    let mut once = settings();
    once.retry.max_attempts = 1;
    let (client, _running) = Arc::<FakeProvider>::default().client(&once);
    let began = Instant::now();

    assert!(matches!(get(&client).await.unwrap_err().kind, Kind::NoInstance));
    assert!(began.elapsed() >= once.client.attempt_timeout);
}

/// A provider that says what the test says, and nothing before.
#[derive(Debug)]
struct FakeProvider {
    asked: watch::Sender<bool>,
    word: watch::Sender<Option<Result<Instance, &'static str>>>,
}

impl Default for FakeProvider {
    fn default() -> Self {
        Self { asked: watch::Sender::new(false), word: watch::Sender::new(None) }
    }
}

impl Provider for FakeProvider {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn watch<'a>(&'a self, sink: &'a Sink) -> BoxFuture<'a, Result<Infallible, ProviderError>> {
        Box::pin(async {
            self.asked.send_replace(true);
            let word = self.word.subscribe().wait_for(Option::is_some).await.unwrap().clone();
            let instance = word.unwrap().map_err(ProviderError::Broken)?;
            sink.publish(vec![instance]);
            std::future::pending().await
        })
    }
}

impl FakeProvider {
    /// A client of user-service, whose instances this provider tells for as long as the guard lives.
    fn client(self: &Arc<Self>, settings: &ClientSettings) -> (ServiceClient, DropGuard) {
        let section = ServiceSettings {
            host: "user-service".to_owned(),
            port: 3001,
            health_check: HttpRequest::get("http://user-service:3001/health"),
            version: "1.0.0".to_owned(),
            instances: Vec::new(),
            scheme: Scheme::Http,
            tls_name: String::new(),
        };
        let unchecked = LoadBalancingSettings {
            health_check_interval: Duration::ZERO,
            ..LoadBalancingSettings::default()
        };
        let by_name =
            DiscoverySettings { r#type: ProviderType::Dns, ..DiscoverySettings::default() };
        let discovery = Discovery::with_provider(
            self.clone(),
            &by_name,
            &BTreeMap::from([("user-service".to_owned(), section)]),
            &unchecked,
            &["user-service"],
        )
        .unwrap();
        let client = ServiceClient::new("user-service", &discovery.registry(), settings).unwrap();
        let shutdown = CancellationToken::new();
        tokio::spawn(discovery.run(shutdown.clone()));
        (client, shutdown.drop_guard())
    }
}
