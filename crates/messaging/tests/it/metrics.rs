//! What a small scenario leaves in the registry and on its spans.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use chrono::Utc;
use messaging::{Broker, Consumer, EventPublisher, Relay, Verdict};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use uuid::Uuid;

use crate::world::{EXCHANGE, Notes, QUEUE, Running, World, created};

/// As Prometheus scrapes it: one line a series.
pub(crate) fn value(series: &str) -> Option<f64> {
    let scraped = telemetry::metrics::render();
    let line = scraped.lines().find(|line| line.starts_with(&format!("{series} ")))?;
    line.rsplit(' ').next()?.parse().ok()
}

pub(crate) async fn until(series: &str, expected: f64) {
    let what = format!("{series} is {expected}");
    testkit::eventually(&what, async || (value(series) == Some(expected)).then_some(())).await;
}

#[tokio::test]
async fn every_family_tells_of_a_small_scenario() {
    let mut world = World::new("metrics").await;
    // Names of this test's own: the registry is the process's.
    let (queue, service) = ("metrics.events", "metrics-service");
    let keys = [("user_exchange", "metrics.exchange"), ("payment_exchange", "metrics.unbound")];
    let keys = keys.map(|(key, name)| (key.to_owned(), name.to_owned()));
    world.settings.exchanges = keys.into();
    world.settings.queues = BTreeMap::from([("user_events".to_owned(), queue.to_owned())]);
    let pool = world.pool.clone();
    let (handler, seen) = Notes::new(move |delivery: messaging::Delivery| {
        let pool = pool.clone();
        async move {
            if delivery.attempt == 1 && delivery.event_type == "user.updated" {
                return Verdict::retry("once more");
            }
            let claimed = async {
                let mut tx = pool.begin().await?;
                let is_new = delivery.claim(&mut tx).await?;
                tx.commit().await?;
                Ok::<_, sqlx::Error>(is_new)
            };
            claimed.await.map_or_else(Verdict::unavailable, |_| Verdict::Ack)
        }
    });
    let broker = Broker::new(service, &world.settings.rabbitmq);
    let outbox = messaging::Outbox::new(service, &world.settings);
    let relay = Relay::new(world.pool.clone(), broker.clone(), outbox.clone(), &world.settings);
    let _relay = Running::start(|shutdown| relay.run(shutdown));
    let consumer = Consumer::new(broker.clone(), &world.settings, "user_events", handler).unwrap();
    let _consumer = Running::start(|shutdown| consumer.run(shutdown));
    until("messaging_connected{service=\"metrics-service\"}", 1.0).await;

    let event_id = world.emit(&outbox, &created(1)).await;
    world.emit(&outbox, &crate::world::updated(1, 0)).await;
    seen.wait_for(3).await;
    let direct = EventPublisher::new(service, &broker, &world.settings).unwrap();
    direct.publish(event_id, Utc::now(), &created(1)).await.unwrap();
    let nobody = direct.publish_payment_event(event_id, Utc::now(), "payment.seen", json!({}));
    nobody.await.unwrap_err();
    world.client().await.publish("", queue, b"no event").await;

    let otel = |name: &str, destination: &str, operation: &str, error: &str| {
        format!(
            "{name}{{error_type=\"{error}\",messaging_destination_name=\"{destination}\",\
             messaging_operation_name=\"{operation}\",messaging_system=\"rabbitmq\"}}"
        )
    };
    let settled = |outcome: &str| {
        format!("messaging_settled_total{{outcome=\"{outcome}\",queue=\"{queue}\"}}")
    };
    until(&settled("acked"), 3.0).await;
    until(&settled("retried"), 1.0).await;
    until(&settled("dead_lettered"), 1.0).await;
    until(&settled("undecodable"), 1.0).await;
    until("messaging_duplicates_total{consumer=\"metrics.events\"}", 1.0).await;
    let sent = "messaging_client_sent_messages_total";
    until(&otel(sent, "metrics.exchange", "send", ""), 3.0).await;
    until(&otel(sent, "metrics.unbound", "send", "returned"), 1.0).await;
    let took = "messaging_client_operation_duration_seconds_count";
    assert!(value(&otel(took, "metrics.exchange", "send", "")).unwrap() >= 2.0);
    until(&otel(took, "metrics.unbound", "send", "returned"), 1.0).await;
    until(&otel("messaging_client_consumed_messages_total", queue, "process", ""), 5.0).await;
    let process = "messaging_process_duration_seconds_count";
    until(&otel(process, queue, "process", ""), 3.0).await;
    until(&otel(process, queue, "process", "retry"), 1.0).await;
    until("messaging_outbox_depth{service=\"metrics-service\"}", 0.0).await;
    until("messaging_outbox_age_seconds{service=\"metrics-service\"}", 0.0).await;
    until("messaging_consumer_paused{queue=\"metrics.events\"}", 0.0).await;
    until("messaging_queue_depth{queue=\"metrics.events\"}", 0.0).await;
    until("messaging_dead_letters{queue=\"metrics.events\"}", 1.0).await;
    for connection in ["metrics-service.publish", "metrics-service.consume"] {
        until(&format!("messaging_connection_open{{connection=\"{connection}\"}}"), 1.0).await;
        until(&format!("messaging_connection_blocked{{connection=\"{connection}\"}}"), 0.0).await;
    }
}

#[tokio::test]
async fn spans_say_what_the_conventions_ask_for_and_nothing_of_the_payload() {
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    let _default = tracing::subscriber::set_default(subscriber);
    let world = World::new("spans").await;
    let outbox = world.outbox();
    let (handler, seen) = Notes::new(async |_| Verdict::Ack);
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(handler);
    world.bound().await;

    let from_outbox = world.emit(&outbox, &created(1)).await;
    seen.wait_for(1).await;
    let direct = EventPublisher::new("user-service", &world.connect(), &world.settings).unwrap();
    let sent_directly = Uuid::now_v7();
    direct.publish(sent_directly, Utc::now(), &created(2)).await.unwrap();
    seen.wait_for(2).await;

    let about = |name: &str, id: Uuid| spans.named(name, Some(&id.to_string()));
    let create = about("create", from_outbox);
    let send = about("send", sent_directly);
    let batch = spans.named("send", None);
    let process = about("process", from_outbox);
    for (span, kind, operation) in [
        (&create, "producer", "create"),
        (&send, "producer", "send"),
        (&batch, "client", "send"),
        (&process, "consumer", "process"),
    ] {
        assert_eq!(span["otel.kind"], kind);
        assert_eq!(span["messaging.system"], "rabbitmq");
        assert_eq!(span["messaging.operation.name"], operation);
        assert_eq!(span["messaging.operation.type"], operation);
        assert!(!span.contains_key("error.type"), "{span:?}");
    }
    let destination = format!("{EXCHANGE}:user.created");
    assert_eq!(create["messaging.destination.name"], destination);
    assert_eq!(send["messaging.destination.name"], destination);
    assert_eq!(send["messaging.rabbitmq.destination.routing_key"], "user.created");
    assert_eq!(batch["messaging.destination.name"], EXCHANGE);
    assert_eq!(batch["messaging.batch.message_count"], "1");
    assert_eq!(process["messaging.destination.name"], format!("{destination}:{QUEUE}"));
    let everything = format!("{spans:?}");
    assert!(!everything.contains("a@example.com"), "no payload: {everything}");
}

/// The fields of every span made so far.
#[derive(Clone, Default, Debug)]
struct Spans(Arc<Mutex<Vec<(u64, Span)>>>);

/// A span's fields by name.
type Span = BTreeMap<String, String>;

impl Spans {
    /// The span of this name, about the message of this id or about none.
    fn named(&self, name: &str, id: Option<&str>) -> Span {
        let spans = self.0.lock().unwrap();
        let is_meant = |span: &&Span| {
            span["name"] == name && span.get("messaging.message.id").map(String::as_str) == id
        };
        spans.iter().map(|(_, span)| span).find(is_meant).unwrap().clone()
    }
}

impl<S: tracing::Subscriber> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let name = attributes.metadata().name().to_owned();
        let mut fields = Fields(BTreeMap::from([("name".to_owned(), name)]));
        attributes.record(&mut fields);
        self.0.lock().unwrap().push((id.into_u64(), fields.0));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        // Ids are used again once their span has ended: the last one is meant.
        if let Some((_, span)) = spans.iter_mut().rev().find(|(of, _)| *of == id.into_u64()) {
            let mut fields = Fields(std::mem::take(span));
            values.record(&mut fields);
            *span = fields.0;
        }
    }
}

struct Fields(Span);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}
