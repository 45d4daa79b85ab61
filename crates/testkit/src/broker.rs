//! A virtual host per test on the shared RabbitMQ, made and inspected by its management interface.

use std::time::Duration;

use anyhow::{Context, bail};
use base64::prelude::{BASE64_STANDARD, Engine};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use crate::{addresses, background};

/// How long one call of the management interface may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// A virtual host of its own: exchanges and queues of the same names do not meet those of another
/// test. It is deleted, with whoever is still connected, when this value is dropped.
pub struct TestBroker {
    /// Host name or address of the AMQP port.
    pub host: String,
    /// The AMQP port.
    pub port: u16,
    /// A user that may do everything in the virtual host.
    pub username: String,
    /// That user's password.
    pub password: String,
    /// The virtual host: letters, digits and dashes, so that it needs no escaping in a URI.
    pub vhost: String,
    api: Api,
}

impl std::fmt::Debug for TestBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestBroker").field("vhost", &self.vhost).finish_non_exhaustive()
    }
}

/// Makes a virtual host and lets the user of `TEST_AMQP_URL` do everything in it.
pub async fn broker() -> TestBroker {
    let broker = blocking(|| {
        let amqp = Url::parse(&addresses().amqp).context("TEST_AMQP_URL is no URL")?;
        let broker = TestBroker {
            host: amqp.host_str().unwrap_or("localhost").to_owned(),
            port: amqp.port().unwrap_or(5672),
            username: decoded(amqp.username(), "guest"),
            password: decoded(amqp.password().unwrap_or_default(), "guest"),
            vhost: format!("test-{}", Uuid::now_v7().simple()),
            api: Api::new(&addresses().rabbitmq_api)?,
        };
        broker.api.put(&format!("vhosts/{}", broker.vhost), &json!({}))?;
        let everything = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        let user = escaped(&broker.username);
        broker.api.put(&format!("permissions/{}/{user}", broker.vhost), &everything)?;
        Ok(broker)
    })
    .await;
    broker
        .unwrap_or_else(|error| panic!("cannot make a virtual host on the test broker: {error:#}"))
}

impl TestBroker {
    /// `amqp://user:password@host:port/vhost` for any AMQP client.
    pub fn amqp_uri(&self) -> String {
        let Self { host, port, vhost, .. } = self;
        let user = escaped(&self.username);
        let password = escaped(&self.password);
        format!("amqp://{user}:{password}@{host}:{port}/{vhost}")
    }

    /// `host:port` of the AMQP port, for a [`Proxy`](crate::Proxy) in between.
    pub fn server(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Closes every connection to this virtual host, as an operator would, and says how many there
    /// were. A connection opened in the same instant may be missed: assert on what follows from it.
    pub async fn close_all_connections(&self) -> usize {
        let api = self.api.clone();
        let vhost = self.vhost.clone();
        let closed = blocking(move || {
            let list = api.get(&format!("vhosts/{vhost}/connections"))?.unwrap_or_default();
            let mut closed = 0;
            for connection in list.as_array().into_iter().flatten() {
                let name = connection["name"].as_str().context("a connection without a name")?;
                closed += usize::from(api.delete(&format!("connections/{}", escaped(name)))?);
            }
            Ok(closed)
        })
        .await;
        closed.unwrap_or_else(|error| panic!("cannot close the broker's connections: {error:#}"))
    }

    /// Messages in a queue, ready or taken and not yet acknowledged; 0 for a queue that is not
    /// there.
    ///
    /// The server refreshes the number every 5 s unless set otherwise, so wait for it with
    /// [`eventually`](crate::eventually), and do not conclude from one look that nothing came.
    pub async fn queue_messages(&self, queue: &str) -> u64 {
        self.queue(queue).await.map_or(0, |found| found["messages"].as_u64().unwrap_or(0))
    }

    /// Whether the queue has been declared. A quorum queue is listed a moment before it can be
    /// read: wait for an effect of the declaration, not for this.
    pub async fn queue_exists(&self, queue: &str) -> bool {
        self.queue(queue).await.is_some()
    }

    /// What the management interface says of a queue: arguments, consumers, counts.
    pub async fn queue(&self, queue: &str) -> Option<Value> {
        let api = self.api.clone();
        let path = format!("queues/{}/{}", self.vhost, escaped(queue));
        blocking(move || api.get(&path))
            .await
            .unwrap_or_else(|error| panic!("cannot look at the queue {queue}: {error:#}"))
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        let api = self.api.clone();
        let path = format!("vhosts/{}", self.vhost);
        // A broker that is away took the virtual host with it; there is nobody to tell.
        background::clean_up(move || drop(api.delete(&path)));
    }
}

/// The management interface, <https://www.rabbitmq.com/docs/http-api-reference>.
#[derive(Clone)]
pub(crate) struct Api {
    agent: ureq::Agent,
    /// `http://host:port/api/`
    base: String,
    authorization: String,
}

impl Api {
    pub(crate) fn new(address: &str) -> anyhow::Result<Self> {
        let url = Url::parse(address).context("TEST_RABBITMQ_API is no URL")?;
        let user = decoded(url.username(), "guest");
        let password = decoded(url.password().unwrap_or_default(), "guest");
        let host = url.host_str().context("TEST_RABBITMQ_API has no host")?;
        let port = url.port_or_known_default().unwrap_or(15672);
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(CALL_LIMIT))
            .proxy(None)
            .build();
        Ok(Self {
            agent: agent.into(),
            base: format!("{}://{host}:{port}/api/", url.scheme()),
            authorization: format!(
                "Basic {}",
                BASE64_STANDARD.encode(format!("{user}:{password}"))
            ),
        })
    }

    fn put(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let request = self.agent.put(format!("{}{path}", self.base));
        let response = request.header("authorization", &self.authorization).send_json(body)?;
        if !response.status().is_success() {
            bail!("PUT {path} was answered {}", response.status());
        }
        Ok(())
    }

    /// `None` when there is no such thing.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let request = self.agent.get(format!("{}{path}", self.base));
        let mut response = request.header("authorization", &self.authorization).call()?;
        match response.status().as_u16() {
            200 => Ok(Some(response.body_mut().read_json()?)),
            404 => Ok(None),
            other => bail!("GET {path} was answered {other}"),
        }
    }

    /// `false` when there was no such thing.
    fn delete(&self, path: &str) -> anyhow::Result<bool> {
        let request = self.agent.delete(format!("{}{path}", self.base));
        let response = request.header("authorization", &self.authorization).call()?;
        match response.status().as_u16() {
            200..300 => Ok(true),
            404 => Ok(false),
            other => bail!("DELETE {path} was answered {other}"),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

fn decoded(part: &str, default: &str) -> String {
    let part = if part.is_empty() { default } else { part };
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

fn escaped(part: &str) -> String {
    percent_encoding::utf8_percent_encode(part, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::{decoded, escaped};

    #[test]
    fn credentials_survive_the_way_through_a_url() {
        assert_eq!(decoded(&escaped("p@ss/w:rd"), "guest"), "p@ss/w:rd");
        assert_eq!(decoded("", "guest"), "guest");
    }
}
