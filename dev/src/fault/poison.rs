//! A poison message: one that its consumer gives up on at once, because no version reads its body.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use chrono::{SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use tusk_config::{Loader, Unread, Vars};
use uuid::Uuid;

use crate::{
    admin::{Admin, escaped},
    http::Client,
    project::Project,
    servers::Broker,
    state::State,
};

/// What `message_queue.tsk` says of queues and of who reads what.
#[derive(Deserialize)]
struct Settings {
    queues: BTreeMap<String, String>,
    exchanges: BTreeMap<String, String>,
    /// The keys of the queues, by the types of events.
    subscriptions: BTreeMap<String, Vec<String>>,
    #[serde(flatten)]
    #[expect(clippy::zero_sized_map_values, reason = "the values are what is not read")]
    _more: BTreeMap<String, Unread>,
}

/// Sends one to this service alone, and prints its id.
pub(super) fn run(project: &Project, service: &str, event_type: Option<&str>) -> Result<()> {
    let addresses = State::up(project)?.addresses;
    if addresses.rabbitmq_api.is_empty() {
        bail!("where RabbitMQ's management API is was not given (DEV_RABBITMQ_API)");
    }
    let queue = queue_of(project, service)?;
    let config = project.path("config");
    let settings: Settings =
        Loader::new(config).file("message_queue").vars(Vars::empty()).load()?;
    let event_type = settings.read_by(&queue, event_type)?;
    let exchange = settings.exchange_of(&event_type);
    let id = Uuid::new_v4().to_string();
    let message = message(&id, &queue, exchange, &event_type);
    let vhost = Broker::parse(&addresses.amqp)?.vhost;
    // The default exchange leads to one queue by its name, past all other readers of the event.
    let url = format!(
        "{}/api/exchanges/{}/amq.default/publish",
        addresses.rabbitmq_api.trim_end_matches('/'),
        escaped(&vhost)
    );
    let answer = Client::new().send("POST", &url, &[], Some(&message));
    // The address has a password.
    let answer = answer.ok().context("RabbitMQ's management API does not answer")?;
    if answer.status != 200 || answer.json()["routed"] != true {
        bail!("RabbitMQ did not take the message ({}): {}", answer.status, answer.text);
    }
    println!("sent to {queue} as {event_type}: {id}");
    let look = project.command(&format!("queues list --service {service}"));
    println!("`{look}` shows it once {service} has given up on it");
    Ok(())
}

/// The queue of a service, as it says itself.
fn queue_of(project: &Project, service: &str) -> Result<String> {
    let admin = Admin::find(project, Some(service))?;
    let url = &admin.one()?.url;
    let queues = admin.call("GET", &format!("{url}/admin/queues"), None)?;
    let queue = queues[0]["queue"].as_str().map(str::to_owned);
    queue.with_context(|| format!("{service} reads no queue"))
}

impl Settings {
    /// The event type that is asked for, or the first that this queue gets.
    fn read_by(&self, queue: &str, asked: Option<&str>) -> Result<String> {
        let is_read = |keys: &[String]| {
            keys.iter().any(|key| self.queues.get(key).is_some_and(|name| name == queue))
        };
        let mut read = self.subscriptions.iter().filter(|(_, keys)| is_read(keys));
        let found = read.find(|(name, _)| asked.is_none_or(|asked| asked == *name));
        let found = found.map(|(name, _)| name.clone());
        found.with_context(|| format!("{queue} gets no {}", asked.unwrap_or("events")))
    }

    /// Through which exchange events of this type come; empty when it is not known.
    fn exchange_of(&self, event_type: &str) -> &str {
        let noun = event_type.split('.').next().unwrap_or_default();
        self.exchanges.get(&format!("{noun}_exchange")).map_or("", String::as_str)
    }
}

/// What the management API is given: an envelope as every event has it, around data as none has it.
fn message(id: &str, queue: &str, exchange: &str, event_type: &str) -> Value {
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
    let body = json!({
        "event_id": id,
        "event_type": event_type,
        "data": {"poison": true},
        "timestamp": now,
        "service": "cargo-dev-fault",
    });
    json!({
        "properties": {
            "message_id": id,
            "delivery_mode": 2,
            "content_type": "application/json",
            "headers": {
                "x-original-exchange": exchange,
                "x-original-routing-key": event_type,
            },
        },
        "routing_key": queue,
        "payload": body.to_string(),
        "payload_encoding": "string",
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_event_is_one_that_the_queue_gets() {
        let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("config");
        let settings: Settings =
            Loader::new(config).file("message_queue").vars(Vars::empty()).load().unwrap();
        let read = |asked| settings.read_by("payment-service.events", asked);
        assert_eq!(read(None).unwrap(), "user.created");
        assert_eq!(read(Some("user.deleted")).unwrap(), "user.deleted");
        assert!(read(Some("payment.completed")).is_err());
        assert_eq!(settings.exchange_of("user.deleted"), "user.events");
        assert_eq!(settings.exchange_of("unheard.of"), "");
    }
}
