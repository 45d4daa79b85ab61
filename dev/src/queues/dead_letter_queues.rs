//! The dead-letter queues of the running services, and the calls of their admin routes.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::{
    http::{Answer, Client},
    project::Project,
    services::Service,
    state::{Process, State},
    token,
    up::state_file,
};

/// One service's queue.
#[derive(Debug)]
pub(super) struct DeadLetterQueue {
    pub(super) service: String,
    pub(super) queue: String,
    /// Messages that wait for the consumer.
    pub(super) waiting: u64,
    /// `http://host:port/admin/queues/<queue>`
    url: String,
}

/// A service that gave no answer.
#[derive(Debug, Clone)]
pub(super) struct Missing {
    pub(super) service: String,
    pub(super) why: String,
}

/// The dead-letter queues, and what is needed to call them.
#[derive(Debug)]
pub(super) struct DeadLetterQueues {
    client: Client,
    authorization: String,
    all: Vec<DeadLetterQueue>,
    /// Services whose queues are not known.
    missing: Vec<Missing>,
}

/// The answers of those who answered, and who did not.
#[derive(Debug)]
pub(super) struct Answers<'a> {
    pub(super) given: Vec<(&'a DeadLetterQueue, Value)>,
    pub(super) missing: Vec<Missing>,
}

impl DeadLetterQueues {
    /// The queues of all running services, or of one.
    pub(super) fn find(project: &Project, service: Option<&str>) -> Result<Self> {
        let Some(state) = State::load(&state_file(project))? else {
            bail!("nothing is up; start it with: cargo dev up --detach");
        };
        let authorization = format!("Bearer {}", token::administrator(project, &state)?);
        let (client, all, missing) = (Client::new(), Vec::new(), Vec::new());
        let mut queues = Self { client, authorization, all, missing };
        service.map(|name| project.service(name)).transpose()?;
        let is_asked = |known: &&Service| service.is_none_or(|name| name == known.name);
        for Service { name, .. } in project.services().iter().filter(is_asked) {
            match queues.of_service(name, &state) {
                Ok(found) => queues.all.extend(found),
                Err(error) => queues.missing.push(Missing::new(name, &error)),
            }
        }
        Ok(queues)
    }

    fn of_service(&self, service: &str, state: &State) -> Result<Vec<DeadLetterQueue>> {
        let url = state.running(service).and_then(Process::url).context("it does not run")?;
        let queues = self.call("GET", &format!("{url}/admin/queues"), None)?;
        let queues = queues.as_array().into_iter().flatten().map(|queue| {
            let name = queue["queue"].as_str().unwrap_or_default().to_owned();
            DeadLetterQueue {
                service: service.to_owned(),
                url: format!("{url}/admin/queues/{name}"),
                queue: name,
                waiting: queue["waiting"].as_u64().unwrap_or(0),
            }
        });
        Ok(queues.collect())
    }

    /// The same call for each dead-letter queue, one after the other.
    pub(super) fn each(&self, call: impl Fn(&DeadLetterQueue) -> Result<Value>) -> Answers<'_> {
        let asked = self.all.iter().map(|queue| (queue, Value::Null)).collect();
        let nobody = Answers { given: asked, missing: self.missing.clone() };
        nobody.then(|queue, _| call(queue))
    }

    pub(super) fn list(
        &self,
        queue: &DeadLetterQueue,
        filter: &Map<String, Value>,
    ) -> Result<Value> {
        let pairs = filter.iter().map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{name}={}", escaped(&value))
        });
        let query = pairs.collect::<Vec<_>>().join("&");
        self.call("GET", &format!("{}/dead-letters?{query}", queue.url), None)
    }

    /// Null when the message is not in this queue.
    pub(super) fn peek(&self, queue: &DeadLetterQueue, id: &str) -> Result<Value> {
        let url = format!("{}/dead-letters/{}", queue.url, escaped(id));
        let answer = self.send("GET", &url, None)?;
        if answer.status == 404 { Ok(Value::Null) } else { checked(&answer) }
    }

    /// `replay` or `discard`, with its query if it has one.
    pub(super) fn act(&self, queue: &DeadLetterQueue, action: &str, body: &Value) -> Result<Value> {
        self.call("POST", &format!("{}/{action}", queue.url), Some(body))
    }

    fn call(&self, method: &str, url: &str, body: Option<&Value>) -> Result<Value> {
        checked(&self.send(method, url, body)?)
    }

    fn send(&self, method: &str, url: &str, body: Option<&Value>) -> Result<Answer> {
        self.client.send(method, url, &[("authorization", &self.authorization)], body)
    }
}

impl<'a> Answers<'a> {
    /// A call for each that has answered, with its answer; who does not answer this one is missing.
    pub(super) fn then(
        mut self,
        call: impl Fn(&DeadLetterQueue, &Value) -> Result<Value>,
    ) -> Answers<'a> {
        let mut given = Vec::new();
        for (queue, answer) in self.given {
            match call(queue, &answer) {
                Ok(answer) => given.push((queue, answer)),
                Err(error) => self.missing.push(Missing::new(&queue.service, &error)),
            }
        }
        Answers { given, missing: self.missing }
    }
}

impl Missing {
    fn new(service: &str, error: &anyhow::Error) -> Self {
        Self { service: service.to_owned(), why: format!("{error:#}") }
    }
}

fn checked(answer: &Answer) -> Result<Value> {
    let json = answer.json();
    if (200..300).contains(&answer.status) {
        return Ok(json);
    }
    let detail = json["detail"].as_str().or(json["title"].as_str()).unwrap_or(&answer.text);
    bail!("it answers {}: {detail}", answer.status)
}

/// As a part of a path or of a query (RFC 3986).
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _never_fails = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_no_letter_is_escaped() {
        assert_eq!(super::escaped("sha256:a b&ü.1"), "sha256%3Aa%20b%26%C3%BC.1");
    }
}
