//! The admin routes of the running services, called as an administrator.

use std::fmt::Write as _;

use anyhow::{Result, anyhow, bail};
use serde_json::{Map, Value};

use crate::{
    http::{Answer, Client},
    project::Project,
    services::Service,
    state::{Process, State},
    token,
    up::state_file,
};

/// What is needed to call the services that run, and who does not.
#[derive(Debug)]
pub(crate) struct Admin {
    client: Client,
    authorization: String,
    /// The services that run: their names and `http://host:port`.
    pub(crate) services: Vec<(String, String)>,
    /// Those that do not.
    pub(crate) missing: Vec<Missing>,
}

/// A service that gave no answer.
#[derive(Debug, Clone)]
pub(crate) struct Missing {
    pub(crate) service: String,
    pub(crate) why: String,
}

impl Admin {
    /// All running services, or one.
    pub(crate) fn find(project: &Project, service: Option<&str>) -> Result<Self> {
        let Some(state) = State::load(&state_file(project))? else {
            bail!("nothing is up; start it with: {}", project.command("up --detach"));
        };
        let authorization = format!("Bearer {}", token::administrator(project, &state)?);
        service.map(|name| project.service(name)).transpose()?;
        let is_asked = |known: &&Service| service.is_none_or(|name| name == known.name);
        let (mut services, mut missing) = (Vec::new(), Vec::new());
        for Service { name, .. } in project.services().iter().filter(is_asked) {
            match state.running(name).and_then(Process::url) {
                Some(url) => services.push((name.clone(), url)),
                None => missing.push(Missing::new(name, &anyhow!("it does not run"))),
            }
        }
        Ok(Self { client: Client::new(), authorization, services, missing })
    }

    /// The answer's JSON; a refusal is an error.
    pub(crate) fn call(&self, method: &str, url: &str, body: Option<&Value>) -> Result<Value> {
        checked(&self.send(method, url, body)?)
    }

    pub(crate) fn send(&self, method: &str, url: &str, body: Option<&Value>) -> Result<Answer> {
        self.client.send(method, url, &[("authorization", &self.authorization)], body)
    }
}

impl Missing {
    pub(crate) fn new(service: &str, error: &anyhow::Error) -> Self {
        Self { service: service.to_owned(), why: format!("{error:#}") }
    }
}

/// Names on standard error who did not answer; says whether that is nobody.
pub(crate) fn tell_missing(missing: &[Missing]) -> bool {
    for Missing { service, why } in missing {
        eprintln!("{service}: {why}");
    }
    missing.is_empty()
}

/// The JSON of an answer that is no refusal.
pub(crate) fn checked(answer: &Answer) -> Result<Value> {
    let json = answer.json();
    if (200..300).contains(&answer.status) {
        return Ok(json);
    }
    let detail = json["detail"].as_str().or(json["title"].as_str()).unwrap_or(&answer.text);
    bail!("it answers {}: {detail}", answer.status)
}

/// A filter as a query string.
pub(crate) fn query(filter: &Map<String, Value>) -> String {
    let pairs = filter.iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}={}", escaped(&value))
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// As a part of a path or of a query (RFC 3986).
pub(crate) fn escaped(text: &str) -> String {
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
