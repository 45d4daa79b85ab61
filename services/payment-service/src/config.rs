//! Everything the service reads from `config/`: typed, checked at start, all faults at once.

use std::collections::BTreeMap;
use std::time::Duration;

use auth::AuthSettings;
use cache::CacheSettings;
use chassis::{DatabaseSettings, Interval, ServerSettings};
use discovery::{DiscoverySettings, LoadBalancingSettings, ServiceSettings};
use messaging::{ConsumerSettings, MessagingSettings, RabbitSettings, RelaySettings};
use resilience::breaker::CircuitBreakerSettings;
use resilience::retry::RetrySettings;
use serde::Deserialize;
use telemetry::{LogSettings, SamplingSettings, TelemetrySettings, TracingSettings};

use crate::gateway::GatewaySettings;

/// The files, without `.tsk`.
pub(crate) const FILES: &[&str] = &[
    "services",
    "microservices",
    "scaling",
    "database",
    "message_queue",
    "cache",
    "auth",
    "tracing",
    "payment-service",
];

/// The sections of those files that this service uses.
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// `services.tsk`: where each service is found; our own version stands there too.
    #[serde(rename = "service:*")]
    pub services: BTreeMap<String, ServiceSettings>,
    /// `microservices.tsk`: where instances come from.
    pub service_discovery: DiscoverySettings,
    /// `microservices.tsk`: when a target is left alone.
    pub circuit_breaker: CircuitBreakerSettings,
    /// `microservices.tsk`: how a call is repeated.
    pub retry: RetrySettings,
    /// `scaling.tsk`: how one of several instances is picked.
    pub load_balancing: LoadBalancingSettings,
    /// `database.tsk`.
    pub database: DatabaseSettings,
    /// `message_queue.tsk`: the broker.
    pub rabbitmq: RabbitSettings,
    /// `message_queue.tsk`: queue names by key.
    pub queues: BTreeMap<String, String>,
    /// `message_queue.tsk`: exchange names by key.
    pub exchanges: BTreeMap<String, String>,
    /// `message_queue.tsk`: how the outbox is emptied.
    pub relay: RelaySettings,
    /// `message_queue.tsk`: how the queue is read.
    pub consumer: ConsumerSettings,
    /// `cache.tsk`.
    pub cache: CacheSettings,
    /// `auth.tsk`.
    pub auth: AuthSettings,
    /// `tracing.tsk`.
    pub tracing: TracingSettings,
    /// `tracing.tsk`.
    pub sampling: SamplingSettings,
    /// `tracing.tsk`.
    pub log: LogSettings,
    /// `payment-service.tsk`: where it listens.
    pub server: ServerSettings,
    /// `payment-service.tsk`: the payment provider.
    pub gateway: GatewaySettings,
    /// `payment-service.tsk`: how payments are taken to the provider.
    pub worker: WorkerSettings,
    /// `payment-service.tsk`: how long answers are kept.
    pub idempotency: IdempotencySettings,
}

/// Section `[worker]`.
#[derive(Debug, Clone, Deserialize)]
pub struct WorkerSettings {
    /// Payments taken to the provider at a time by one process; 0 counts as 1.
    pub concurrency: usize,
    /// How long a due payment waits at most when nothing woke the worker.
    pub poll_interval: Interval,
    /// How long a payment is left to the worker that took it up; longer than a charge may take.
    pub lease: Duration,
}

/// Section `[idempotency]`.
#[derive(Debug, Clone, Deserialize)]
pub struct IdempotencySettings {
    /// How long a key and its answer are kept.
    pub expiration: Duration,
    /// How often keys past their time are removed.
    pub sweep_interval: Interval,
}

impl Settings {
    /// The settings of logs and traces.
    pub fn telemetry(&self) -> TelemetrySettings {
        let (tracing, sampling) = (self.tracing.clone(), self.sampling.clone());
        TelemetrySettings { tracing, sampling, log: self.log.clone() }
    }

    /// The settings of outbox, relay and consumer.
    pub fn messaging(&self) -> MessagingSettings {
        MessagingSettings {
            rabbitmq: self.rabbitmq.clone(),
            queues: self.queues.clone(),
            exchanges: self.exchanges.clone(),
            relay: self.relay.clone(),
            consumer: self.consumer.clone(),
        }
    }
}
