//! The dead-letter queues of the running services, and the calls of their admin routes.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::{
    http::{Answer, Client},
    project::Project,
    services::Service,
    state::State,
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

/// The dead-letter queues, and what is needed to call them.
#[derive(Debug)]
pub(super) struct DeadLetterQueues {
    client: Client,
    authorization: String,
    pub(super) all: Vec<DeadLetterQueue>,
}

impl DeadLetterQueues {
    /// The queues of all running services, or of one.
    pub(super) fn find(project: &Project, service: Option<&str>) -> Result<Self> {
        let Some(state) = State::load(&state_file(project))? else {
            bail!("nothing is up; start it with: cargo dev up --detach");
        };
        let authorization = format!("Bearer {}", token::administrator(project, &state)?);
        let mut dlqs = Self { client: Client::new(), authorization, all: Vec::new() };
        service.map(|name| project.service(name)).transpose()?;
        let is_asked = |known: &&Service| service.is_none_or(|name| name == known.name);
        for known in project.services().iter().filter(is_asked) {
            let process = state.running(&known.name);
            let url = process.and_then(crate::state::Process::url);
            let url = url.with_context(|| format!("{} does not run", known.name))?;
            let queues = dlqs.call("GET", &format!("{url}/admin/queues"), None)?;
            for queue in queues.as_array().into_iter().flatten() {
                let name = queue["queue"].as_str().unwrap_or_default().to_owned();
                let waiting = queue["waiting"].as_u64().unwrap_or(0);
                let url = format!("{url}/admin/queues/{name}");
                dlqs.all.push(DeadLetterQueue {
                    service: known.name.clone(),
                    queue: name,
                    waiting,
                    url,
                });
            }
        }
        Ok(dlqs)
    }

    /// The same call for each dead-letter queue, one after the other.
    pub(super) fn each(
        &self,
        call: impl Fn(&DeadLetterQueue) -> Result<Value>,
    ) -> Result<Vec<(&DeadLetterQueue, Value)>> {
        self.all.iter().map(|dlq| Ok((dlq, call(dlq)?))).collect()
    }

    pub(super) fn list(&self, dlq: &DeadLetterQueue, filter: &Map<String, Value>) -> Result<Value> {
        let pairs = filter.iter().map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{name}={}", escaped(&value))
        });
        let query = pairs.collect::<Vec<_>>().join("&");
        self.call("GET", &format!("{}/dead-letters?{query}", dlq.url), None)
    }

    /// None when the message is not in this queue.
    pub(super) fn peek(&self, dlq: &DeadLetterQueue, id: &str) -> Result<Option<Value>> {
        let answer =
            self.send("GET", &format!("{}/dead-letters/{}", dlq.url, escaped(id)), None)?;
        if answer.status == 404 { Ok(None) } else { checked(&answer).map(Some) }
    }

    /// `replay` or `discard`.
    pub(super) fn act(&self, dlq: &DeadLetterQueue, action: &str, body: &Value) -> Result<Value> {
        self.call("POST", &format!("{}/{action}", dlq.url), Some(body))
    }

    fn call(&self, method: &str, url: &str, body: Option<&Value>) -> Result<Value> {
        checked(&self.send(method, url, body)?)
    }

    fn send(&self, method: &str, url: &str, body: Option<&Value>) -> Result<Answer> {
        self.client.send(method, url, &[("authorization", &self.authorization)], body)
    }
}

fn checked(answer: &Answer) -> Result<Value> {
    let json = answer.json();
    if (200..300).contains(&answer.status) {
        return Ok(json);
    }
    let detail = json["detail"].as_str().or(json["title"].as_str()).unwrap_or(&answer.text);
    bail!("the service answers {}: {detail}", answer.status)
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
