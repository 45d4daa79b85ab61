//! HTTP as this tool needs it: JSON in, JSON out, every status an answer.

use std::{env, process::Command, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;
use ureq::{
    Agent,
    http::{HeaderMap, Request},
};

/// This machine, as `NO_PROXY` lists it.
const LOOPBACK: &str = "localhost,127.0.0.1,::1";
/// How long one request may take. A payment waits for its outcome up to 5 s by itself.
const REQUEST_LIMIT: Duration = Duration::from_secs(15);

/// What keeps curl from asking the shell's proxy for an address of this machine; empty without one.
pub(crate) fn past_the_proxy() -> &'static str {
    let has_proxy = ["http_proxy", "all_proxy", "ALL_PROXY"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    if has_proxy { "--noproxy '*' " } else { "" }
}

/// Keeps a command that speaks HTTP, such as a test, from asking a proxy for what is on this machine.
pub(crate) fn spare_loopback(command: &mut Command) {
    for name in ["NO_PROXY", "no_proxy"] {
        let given = env::var(name).ok().filter(|hosts| !hosts.is_empty());
        let hosts = given.map_or(LOOPBACK.to_owned(), |hosts| format!("{hosts},{LOOPBACK}"));
        command.env(name, hosts);
    }
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// A header's value; empty when absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A client without state.
#[derive(Debug, Clone)]
pub(crate) struct Client(Agent);

impl Client {
    pub(crate) fn new() -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(REQUEST_LIMIT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Whom it asks is on this machine.
            .proxy(None)
            // A service that was stopped between two requests must not be asked on its old
            // connection.
            .max_idle_connections(0)
            .build();
        Self(Agent::new_with_config(config))
    }

    /// Sends a request; an error means that nobody answered.
    pub(crate) fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.0.run(request.body(body.to_string())?)
            }
            None => self.0.run(request.body(())?),
        };
        let mut response = sent.with_context(|| format!("{method} {url}"))?;
        let text =
            response.body_mut().read_to_string().with_context(|| format!("{method} {url}"))?;
        Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), text })
    }

    pub(crate) fn get(&self, url: &str) -> Result<Answer> {
        self.send("GET", url, &[], None)
    }

    /// Whether `GET url` answers with success now.
    pub(crate) fn is_ok(&self, url: &str) -> bool {
        self.get(url).is_ok_and(|answer| (200..300).contains(&answer.status))
    }
}
