//! Publishing without a transaction: for what no change of the database goes with.
//!
//! Whoever changes a row and then publishes may do one without the other: that is what the
//! [outbox](crate::outbox) is for. Here the caller waits for the broker's confirm, is told when there
//! is none, and decides what that means. After [`PublishError::Unknown`] the message may have
//! arrived: publish it again under the same id, and the readers' inboxes make that one effect.

use std::fmt::Debug;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use contracts::{Envelope, Event, EventId, FieldFault};
use lapin::BasicProperties;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use crate::broker::Broker;
use crate::headers::{self, TRACEPARENT};
use crate::message::{self, CONTENT_TYPE, PERSISTENT};
use crate::metrics::{self, Published};
use crate::publisher::{Message, PublishOutcome, Publisher, Refusal};
use crate::settings::{MessagingSettings, SettingsError};
use crate::topology::Readers;

/// Why an event was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// `[exchanges]` has no such key.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Larger than `[relay] message_bytes_max`.
    #[error("the event takes {bytes} bytes, the limit is {bytes_max}; send a reference")]
    TooLarge {
        /// What its envelope takes.
        bytes: usize,
        /// What it may take.
        bytes_max: usize,
    },
    /// A field is out of its bounds: no reader would take the event.
    #[error("the event's {0}")]
    Field(#[from] FieldFault),
    /// The event is no JSON.
    #[error("the event cannot be written as JSON")]
    Encode(#[from] serde_json::Error),
    /// The broker is away, or short of memory or disk: nothing was sent.
    #[error("the broker takes no messages now")]
    Unavailable,
    /// No queue is bound for it: nobody has it.
    #[error("no queue is bound for the event")]
    Returned,
    /// The broker did not take it: a queue is full, publishing it is forbidden, or its exchange is
    /// of another kind.
    #[error("the broker refused the event: {0}")]
    Refused(String),
    /// No answer: it may have arrived or not.
    #[error("the broker did not answer; the event may have arrived")]
    Unknown,
}

impl PublishError {
    /// OpenTelemetry's `error.type`: of a small closed set.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Settings(_) | Self::TooLarge { .. } | Self::Field(_) | Self::Encode(_) => {
                "invalid"
            }
            Self::Unavailable => "unavailable",
            Self::Returned => Published::Returned.error(),
            Self::Refused(_) => Published::Refused.error(),
            Self::Unknown => Published::NoAnswer.error(),
        }
    }
}

/// Publishes events with the broker's confirm. Cheap to clone; one call at a time is under way, and
/// the others wait for their turn within their own time.
#[derive(Clone)]
pub struct EventPublisher(Arc<Shared>);

struct Shared {
    service: String,
    settings: MessagingSettings,
    publisher: Publisher,
}

impl EventPublisher {
    /// A publisher of `service`, named as in `services.tsk`. It uses the publishing connection of
    /// `broker`, and opens it when nobody else has. An error when `[subscriptions]` names a queue
    /// that is not in `[queues]`.
    pub fn new(
        service: &str,
        broker: &Broker,
        settings: &MessagingSettings,
    ) -> Result<Self, SettingsError> {
        let connection = broker.publishing_at_times();
        let readers = Readers::of(settings)?;
        let publisher = Publisher::new(connection, readers, settings.relay.confirm_timeout);
        let service = service.to_owned();
        let settings = settings.clone();
        Ok(Self(Arc::new(Shared { service, settings, publisher })))
    }

    /// Publishes an event and waits for the confirm, at most `[relay] confirm_timeout`, and as long for its turn.
    pub async fn publish<E: Event>(
        &self,
        event_id: Uuid,
        occurred_at: DateTime<Utc>,
        event: &E,
    ) -> Result<(), PublishError> {
        event.check()?;
        let body = self.encode(event_id, occurred_at, E::TYPE, E::VERSION, event)?;
        self.send(E::EXCHANGE, E::TYPE, &[(event_id, body)]).await
    }

    /// Publishes events, each with its id and the time when it happened, without waiting in between;
    /// then waits for the confirms, at most `[relay] confirm_timeout` for all. Hundreds at once are
    /// many times as fast as one by one.
    ///
    /// The error is that of the first event that did not arrive; later ones may have arrived.
    /// Publish all of them again under the same ids.
    pub async fn publish_all<E: Event>(
        &self,
        events: &[(Uuid, DateTime<Utc>, E)],
    ) -> Result<(), PublishError> {
        let mut bodies = Vec::with_capacity(events.len());
        for (event_id, occurred_at, event) in events {
            event.check()?;
            let body = self.encode(*event_id, *occurred_at, E::TYPE, E::VERSION, event)?;
            bodies.push((*event_id, body));
        }
        self.send(E::EXCHANGE, E::TYPE, &bodies).await
    }

    /// Publishes an event of any type on `user_exchange`.
    pub async fn publish_user_event(
        &self,
        event_id: Uuid,
        occurred_at: DateTime<Utc>,
        event_type: &str,
        data: Value,
    ) -> Result<(), PublishError> {
        self.publish_raw("user_exchange", event_id, occurred_at, event_type, data).await
    }

    /// Publishes an event of any type on `payment_exchange`.
    pub async fn publish_payment_event(
        &self,
        event_id: Uuid,
        occurred_at: DateTime<Utc>,
        event_type: &str,
        data: Value,
    ) -> Result<(), PublishError> {
        self.publish_raw("payment_exchange", event_id, occurred_at, event_type, data).await
    }

    /// Publishes an event of any type on `notification_exchange`.
    pub async fn publish_notification_event(
        &self,
        event_id: Uuid,
        occurred_at: DateTime<Utc>,
        event_type: &str,
        data: Value,
    ) -> Result<(), PublishError> {
        self.publish_raw("notification_exchange", event_id, occurred_at, event_type, data).await
    }

    async fn publish_raw(
        &self,
        exchange: &str,
        event_id: Uuid,
        occurred_at: DateTime<Utc>,
        event_type: &str,
        data: Value,
    ) -> Result<(), PublishError> {
        let body = self.encode(event_id, occurred_at, event_type, 1, data)?;
        self.send(exchange, event_type, &[(event_id, body)]).await
    }

    /// The message's body, of a size that the broker takes.
    fn encode(
        &self,
        event_id: Uuid,
        timestamp: DateTime<Utc>,
        event_type: &str,
        version: u16,
        data: impl Serialize,
    ) -> Result<Vec<u8>, PublishError> {
        let envelope = Envelope {
            event_type: event_type.to_owned(),
            data,
            timestamp,
            service: self.0.service.clone(),
            event_id: Some(EventId::from_uuid(event_id)),
            version,
        };
        envelope.check(message::now())?;
        let body = serde_json::to_vec(&envelope)?;
        let bytes = body.len();
        let bytes_max = self.0.settings.relay.message_bytes_max;
        if bytes > bytes_max { Err(PublishError::TooLarge { bytes, bytes_max }) } else { Ok(body) }
    }

    async fn send(
        &self,
        exchange: &str,
        event_type: &str,
        bodies: &[(Uuid, Vec<u8>)],
    ) -> Result<(), PublishError> {
        let exchange = self.0.settings.exchange(exchange)?;
        let span = tracing::info_span!(
            "send",
            otel.name = format!("send {exchange}:{event_type}"),
            otel.kind = "producer",
            otel.status_code = tracing::field::Empty,
            error.type = tracing::field::Empty,
            messaging.system = "rabbitmq",
            messaging.operation.name = "send",
            messaging.operation.type = "send",
            messaging.destination.name = %format_args!("{exchange}:{event_type}"),
            messaging.rabbitmq.destination.routing_key = event_type,
            messaging.message.id = tracing::field::Empty,
            messaging.message.body.size = tracing::field::Empty,
            messaging.batch.message_count = tracing::field::Empty,
        );
        if let [(event_id, body)] = bodies {
            span.record("messaging.message.id", tracing::field::display(event_id));
            span.record("messaging.message.body.size", body.len());
        } else {
            span.record("messaging.batch.message_count", bodies.len());
        }
        let sent = self.send_to(exchange, event_type, bodies).instrument(span.clone()).await;
        if let Err(error) = &sent {
            span.record("error.type", error.kind()).record("otel.status_code", "ERROR");
        }
        sent
    }

    async fn send_to(
        &self,
        exchange: &str,
        event_type: &str,
        bodies: &[(Uuid, Vec<u8>)],
    ) -> Result<(), PublishError> {
        let properties = self.properties(event_type);
        let messages = bodies.iter().map(|(event_id, body)| Message {
            exchange: exchange.into(),
            routing_key: event_type.into(),
            body,
            properties: properties.clone().with_message_id(event_id.to_string().into()),
        });
        let messages: Vec<_> = messages.collect();
        let begin = Instant::now();
        let outcomes = self.0.publisher.publish_all(&messages).await;
        let took = begin.elapsed();
        let mut ended = Published::Sent;
        let mut all = Ok(());
        metrics::sent(outcomes.into_iter().map(|outcome| {
            let (published, sent) = result_of(outcome);
            // The first that did not arrive is what the caller is told.
            if all.is_ok() {
                (ended, all) = (published, sent);
            }
            (exchange, published)
        }));
        metrics::send_took(exchange, ended, took);
        all
    }

    /// What the messages of one call have in common.
    fn properties(&self, event_type: &str) -> BasicProperties {
        let properties = BasicProperties::default()
            .with_content_type(CONTENT_TYPE.into())
            .with_delivery_mode(PERSISTENT)
            .with_type(event_type.into())
            .with_app_id(self.0.service.as_str().into());
        let Some(traceparent) = telemetry::propagation::current_traceparent() else {
            return properties;
        };
        let mut headers = lapin::types::FieldTable::default();
        headers::set_text(&mut headers, TRACEPARENT, &traceparent, 100);
        properties.with_headers(headers)
    }
}

/// What an outcome is for metrics, and for the caller.
fn result_of(outcome: PublishOutcome) -> (Published, Result<(), PublishError>) {
    match outcome {
        PublishOutcome::Confirmed => (Published::Sent, Ok(())),
        PublishOutcome::Returned => (Published::Returned, Err(PublishError::Returned)),
        PublishOutcome::Unknown => (Published::NoAnswer, Err(PublishError::Unknown)),
        PublishOutcome::Refused(Refusal::Unavailable) => {
            (Published::NoAnswer, Err(PublishError::Unavailable))
        }
        PublishOutcome::Refused(Refusal::Nacked) => {
            (Published::Refused, Err(PublishError::Refused("a queue is full".to_owned())))
        }
        PublishOutcome::Refused(Refusal::Message(text) | Refusal::Route(text)) => {
            (Published::Refused, Err(PublishError::Refused(text)))
        }
    }
}

impl Debug for EventPublisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventPublisher").field("service", &self.0.service).finish_non_exhaustive()
    }
}
