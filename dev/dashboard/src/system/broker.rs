//! Exchanges and queues, as RabbitMQ's management API tells them:
//! <https://www.rabbitmq.com/docs/http-api-reference>.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::Addresses;

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(2);
/// The most bytes of an answer.
const ANSWER_MAX: usize = 4 << 20;

/// What the broker has.
#[derive(Debug, Default)]
pub(crate) struct Broker {
    /// Those that events are sent to, by name.
    pub(crate) exchanges: Vec<String>,
    /// Those that events are read from, by name.
    pub(crate) queues: Vec<Queue>,
    /// From which exchange to which queue, once for each pair.
    pub(crate) bindings: Vec<(String, String)>,
}

/// A queue with those that belong to it: where its messages wait for another attempt, and where they go
/// when there is none left.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Queue {
    pub(crate) name: String,
    /// Messages that wait for a consumer.
    pub(crate) ready: u64,
    /// Messages that a consumer has, and has not answered.
    pub(crate) unacknowledged: u64,
    pub(crate) consumers: u64,
    /// Messages a second that come in.
    pub(crate) rate: f64,
    /// Messages that wait for another attempt.
    pub(crate) retries: u64,
    /// Messages that were given up on.
    pub(crate) dead_letters: u64,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
struct Listed {
    name: String,
    #[serde(default)]
    messages: u64,
    #[serde(default)]
    messages_ready: u64,
    #[serde(default)]
    messages_unacknowledged: u64,
    #[serde(default)]
    consumers: u64,
    #[serde(default)]
    message_stats: Stats,
}

#[derive(Debug, Default, Deserialize)]
struct Stats {
    #[serde(default)]
    publish_details: Rate,
}

#[derive(Debug, Default, Deserialize)]
struct Rate {
    #[serde(default)]
    rate: f64,
}

#[derive(Debug, Deserialize)]
struct Binding {
    source: String,
    destination: String,
    destination_type: String,
}

impl Broker {
    /// Asks for it; an error where it does not answer, which says nothing of the login.
    pub(crate) async fn ask(http: &Client, addresses: &Addresses) -> Result<Self> {
        let api = Api::new(http, addresses)?;
        let (exchanges, queues, bindings) = tokio::try_join!(
            api.get::<Named>("exchanges", "name,type"),
            api.get::<Listed>(
                "queues",
                "name,messages,messages_ready,messages_unacknowledged,consumers,message_stats.publish_details.rate"
            ),
            api.get::<Binding>("bindings", "source,destination,destination_type"),
        )?;
        let is_own =
            |it: &Named| !it.name.is_empty() && !it.name.starts_with("amq.") && it.kind == "topic";
        let mut exchanges: Vec<String> =
            exchanges.into_iter().filter(is_own).map(|it| it.name).collect();
        exchanges.sort_unstable();
        let queues = together(queues);
        let mut bindings: Vec<(String, String)> = bindings
            .into_iter()
            .filter(|it| it.destination_type == "queue" && exchanges.contains(&it.source))
            .filter(|it| queues.iter().any(|queue| queue.name == it.destination))
            .map(|it| (it.source, it.destination))
            .collect();
        bindings.sort_unstable();
        bindings.dedup();
        Ok(Self { exchanges, queues, bindings })
    }
}

/// The queues that consumers read from, each with what its retry and dead-letter queues hold.
fn together(listed: Vec<Listed>) -> Vec<Queue> {
    // `<queue>.retry.<ms>`, `<queue>.dead-letters`, and what goes with that.
    let owner = |name: &str| {
        let at = [".retry.", ".dead-letters"].iter().find_map(|mark| name.find(mark));
        at.map(|at| name[..at].to_owned())
    };
    let (own, rest): (Vec<Listed>, Vec<Listed>) =
        listed.into_iter().partition(|it| owner(&it.name).is_none());
    let mut queues: Vec<Queue> = own
        .into_iter()
        .map(|it| {
            let of_it = rest.iter().filter(|other| owner(&other.name).as_ref() == Some(&it.name));
            let of_it: Vec<&Listed> = of_it.collect();
            let sum = |is_meant: fn(&str) -> bool| {
                of_it.iter().filter(|it| is_meant(&it.name)).map(|it| it.messages).sum()
            };
            Queue {
                ready: it.messages_ready,
                unacknowledged: it.messages_unacknowledged,
                consumers: it.consumers,
                rate: it.message_stats.publish_details.rate,
                retries: sum(|name| name.contains(".retry.")),
                dead_letters: sum(|name| name.ends_with(".dead-letters")),
                name: it.name,
            }
        })
        .collect();
    queues.sort_by(|one, other| one.name.cmp(&other.name));
    queues
}

/// The management API of a virtual host.
struct Api<'a> {
    http: &'a Client,
    url: Url,
    /// As it stands in the path of a URL.
    virtual_host: String,
}

impl<'a> Api<'a> {
    fn new(http: &'a Client, addresses: &Addresses) -> Result<Self> {
        if addresses.rabbitmq_api.is_empty() {
            bail!("the address of RabbitMQ's management API is not known");
        }
        let unread = "RabbitMQ's address cannot be read";
        let mut url = Url::parse(&addresses.rabbitmq_api).map_err(|_| anyhow::anyhow!(unread))?;
        let amqp = Url::parse(&addresses.amqp).map_err(|_| anyhow::anyhow!(unread))?;
        if url.username().is_empty() {
            let login = (amqp.username().to_owned(), amqp.password().unwrap_or_default());
            let set = url.set_username(&login.0).and_then(|()| url.set_password(Some(login.1)));
            set.map_err(|()| anyhow::anyhow!(unread))?;
        }
        let named = amqp.path().trim_start_matches('/');
        let virtual_host = if named.is_empty() { "%2F" } else { named }.to_owned();
        Ok(Self { http, url, virtual_host })
    }

    async fn get<T: DeserializeOwned>(&self, what: &str, columns: &str) -> Result<Vec<T>> {
        let mut url = self.url.clone();
        url.set_path(&format!("/api/{what}/{}", self.virtual_host));
        url.set_query(Some(&format!("columns={columns}")));
        let asked = self.http.get(url).timeout(LIMIT).send().await;
        // An error of the client names the URL, which holds the login.
        let mut answer = asked.map_err(reqwest::Error::without_url).context("ask RabbitMQ")?;
        if !answer.status().is_success() {
            bail!("RabbitMQ answers {} when it is asked for its {what}", answer.status());
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            if bytes.len() + chunk.len() > ANSWER_MAX {
                bail!("RabbitMQ's list of its {what} is too long");
            }
            bytes.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&bytes).context("read what RabbitMQ says")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_told_with_what_its_retries_and_dead_letters_hold() {
        let listed = |name: &str, messages| Listed {
            name: name.to_owned(),
            messages,
            messages_ready: messages,
            ..Listed::default()
        };
        let queues = together(vec![
            listed("user-service.events.retry.5000", 2),
            listed("user-service.events", 1),
            listed("user-service.events.retry.60000", 3),
            listed("payment-service.events.dead-letters", 9),
            listed("user-service.events.dead-letters", 4),
            listed("user-service.events.dead-letters.turn", 1),
            listed("a queue of somebody else", 0),
        ]);
        let names: Vec<&str> = queues.iter().map(|queue| queue.name.as_str()).collect();
        assert_eq!(names, ["a queue of somebody else", "user-service.events"]);
        let Queue { ready, retries, dead_letters, .. } = queues[1];
        assert_eq!((ready, retries, dead_letters), (1, 5, 4));
    }
}
