//! Queues, exchanges and bindings, as RabbitMQ's management API tells them. It renews its figures every
//! five seconds.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::app::App;
use crate::system::Addresses;

/// How long an answer is waited for.
const LIMIT: Duration = Duration::from_secs(2);

/// What a broker knows of a virtual host.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) queues: Vec<Queue>,
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) bindings: Vec<Binding>,
}

/// A queue and its figures.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Queue {
    pub(crate) name: String,
    /// `quorum`, `classic`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// `running`, `down`, …
    pub(crate) state: String,
    /// All that are in it, with those that consumers hold.
    pub(crate) messages: u64,
    pub(crate) messages_ready: u64,
    pub(crate) messages_unacknowledged: u64,
    pub(crate) message_bytes: u64,
    pub(crate) consumers: u64,
    pub(crate) message_stats: Rates,
}

/// Messages a second.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Rates {
    #[serde(rename = "publish_details")]
    pub(crate) published: Rate,
    #[serde(rename = "deliver_get_details")]
    pub(crate) delivered: Rate,
    #[serde(rename = "ack_details")]
    pub(crate) acknowledged: Rate,
    #[serde(rename = "redeliver_details")]
    pub(crate) redelivered: Rate,
    #[serde(rename = "publish_in_details")]
    pub(crate) came_in: Rate,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Rate {
    pub(crate) rate: f64,
}

/// An exchange; the broker's own have no name or one that begins with `amq.`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) message_stats: Rates,
}

/// What leads from an exchange to a queue, or to another exchange.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Binding {
    pub(crate) source: String,
    pub(crate) destination: String,
    pub(crate) routing_key: String,
}

/// Reads all of it.
///
/// # Errors
/// A sentence: the API is not known, does not answer, or not as it should.
pub(crate) async fn read(app: &App) -> Result<Broker, String> {
    let addresses = app.system.now().addresses.clone();
    let api = Api::of(&addresses).ok_or("the address of RabbitMQ's management API is not known")?;
    let (queues, exchanges, bindings) = tokio::join!(
        api.get::<Vec<Queue>>(app, "queues"),
        api.get::<Vec<Exchange>>(app, "exchanges"),
        api.get::<Vec<Binding>>(app, "bindings"),
    );
    let mut queues = queues?;
    let mut exchanges = exchanges?;
    queues.sort_by(|one, other| one.name.cmp(&other.name));
    exchanges.retain(|it| !it.name.is_empty() && !it.name.starts_with("amq."));
    let mut bindings = bindings?;
    // To the exchange without a name each queue is bound by itself.
    bindings.retain(|it| !it.source.is_empty());
    Ok(Broker { queues, exchanges, bindings })
}

/// Reads the queues alone.
///
/// # Errors
/// As [`read`].
pub(crate) async fn queues(app: &App) -> Result<Vec<Queue>, String> {
    let addresses = app.system.now().addresses.clone();
    let api = Api::of(&addresses).ok_or("the address of RabbitMQ's management API is not known")?;
    api.get(app, "queues").await
}

/// Where it answers, and the login.
struct Api {
    base: Url,
    vhost: String,
    username: String,
    password: String,
}

impl Api {
    /// The login is the API's own, else that of AMQP.
    fn of(addresses: &Addresses) -> Option<Self> {
        let mut base = Url::parse(&addresses.rabbitmq_api).ok()?;
        let amqp = Url::parse(&addresses.amqp).ok()?;
        let login = if base.username().is_empty() { &amqp } else { &base };
        let username = decoded(login.username());
        let password = decoded(login.password().unwrap_or_default());
        let vhost = decoded(amqp.path().strip_prefix('/').unwrap_or_default());
        let vhost = if vhost.is_empty() { "/".to_owned() } else { vhost };
        base.set_username("").ok()?;
        base.set_password(None).ok()?;
        Some(Self { base, vhost, username, password })
    }

    async fn get<T: DeserializeOwned>(&self, app: &App, what: &str) -> Result<T, String> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| "the address of the management API is none of HTTP")?
            .pop_if_empty()
            .extend(["api", what, &self.vhost]);
        let asked = app.http.get(url).basic_auth(&self.username, Some(&self.password));
        let answer = asked.timeout(LIMIT).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        let read = async { answer?.json().await };
        read.await.map_err(|error: reqwest::Error| {
            format!("RabbitMQ's management API does not answer: {}", error.without_url())
        })
    }
}

/// What stands in a URL with its escapes resolved.
fn decoded(text: &str) -> String {
    let escaped = text.replace('+', "%2B");
    let pair = format!("x={escaped}");
    let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
    pairs.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_is_the_apis_own_or_that_of_amqp() {
        let addresses = |api: &str| Addresses {
            amqp: "amqp://us%2Ber:p+w@localhost:1/a%2Fb".into(),
            rabbitmq_api: api.into(),
            ..Addresses::default()
        };
        let api = Api::of(&addresses("http://localhost:2")).unwrap();
        let login = (api.username.as_str(), api.password.as_str(), api.vhost.as_str());
        assert_eq!(login, ("us+er", "p+w", "a/b"));
        let own = Api::of(&addresses("http://dev:secret@localhost:2")).unwrap();
        assert_eq!((own.username.as_str(), own.password.as_str()), ("dev", "secret"));
        assert_eq!(own.base.as_str(), "http://localhost:2/");
        assert!(Api::of(&addresses("")).is_none());
    }
}
