//! The admin routes of the running services, called as an administrator.

use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::{
    http::{Answer, Client},
    project::Project,
    state::{Process, State},
    token,
};

/// What is escaped in a part of a path or of a query (RFC 3986).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What is needed to call the services that run, and who does not.
#[derive(Debug)]
pub(crate) struct Admin {
    client: Client,
    authorization: String,
    running: Vec<Endpoint>,
    missing: Vec<Missing>,
}

/// Where something is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) service: String,
    /// Of the service's queues; empty for the service as a whole.
    pub(crate) queue: String,
    /// `http://host:port`, of a queue with its path.
    pub(crate) url: String,
}

/// A service that gave no answer.
#[derive(Debug, Clone)]
struct Missing {
    service: String,
    why: String,
}

/// The answers of those who answered, and who did not.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) given: Vec<(Endpoint, Value)>,
    missing: Vec<Missing>,
}

/// Who is asked, and how the answer is shown.
#[derive(Debug, clap::Args)]
pub(crate) struct Asked {
    /// This service only
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// Prints JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// Which messages are meant: those that match all of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Selection {
    /// The one with this id
    #[arg(long)]
    id: Option<String>,
    /// Events of this type: user.created
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// At this time or later: 2026-01-15T09:30:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Admin {
    /// All running services, or one.
    pub(crate) fn find(project: &Project, service: Option<&str>) -> Result<Self> {
        let state = State::up(project)?;
        let authorization = format!("Bearer {}", token::administrator(project, &state)?);
        service.map(|name| project.service(name)).transpose()?;
        let (mut running, mut missing) = (Vec::new(), Vec::new());
        let names = project.services().iter().map(|known| &known.name);
        for name in names.filter(|name| service.is_none_or(|asked| asked == *name)) {
            match state.running(name).and_then(Process::url) {
                Some(url) => {
                    running.push(Endpoint { service: name.clone(), queue: String::new(), url });
                }
                None => missing.push(Missing::new(name, &anyhow!("it does not run"))),
            }
        }
        Ok(Self { client: Client::new(), authorization, running, missing })
    }

    /// The one service that was asked for.
    pub(crate) fn one(&self) -> Result<&Endpoint> {
        let missing = self.missing.first().map_or("it", |missing| &missing.service);
        self.running.first().with_context(|| format!("{missing} does not run"))
    }

    /// The same call for each service, one after the other.
    pub(crate) fn each(&self, call: impl Fn(&Endpoint) -> Result<Value>) -> Answers {
        let given = self.running.iter().map(|place| (place.clone(), Value::Null)).collect();
        Answers { given, missing: self.missing.clone() }.then(|place, _| call(place))
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
    fn new(service: &str, error: &anyhow::Error) -> Self {
        Self { service: service.to_owned(), why: format!("{error:#}") }
    }
}

impl Answers {
    /// A call for each that has answered, with its answer; who does not answer this one is missing.
    pub(crate) fn then(mut self, call: impl Fn(&Endpoint, &Value) -> Result<Value>) -> Self {
        let mut given = Vec::new();
        for (place, answer) in self.given {
            match call(&place, &answer) {
                Ok(answer) => given.push((place, answer)),
                Err(error) => self.missing.push(Missing::new(&place.service, &error)),
            }
        }
        Self { given, ..self }
    }

    /// The items of each answer in its place, each where `of` says that it is.
    pub(crate) fn items(self, of: impl Fn(&Endpoint, &Value) -> Endpoint) -> Self {
        let mut given = Vec::new();
        for (place, answer) in &self.given {
            let items = answer.as_array().into_iter().flatten();
            given.extend(items.map(|item| (of(place, item), item.clone())));
        }
        Self { given, ..self }
    }

    /// All of it, and an `error` for each service without an answer, which `name` names.
    pub(crate) fn json(&self, name: &str) -> Value {
        let given = self.given.iter().map(|(_, answer)| answer.clone());
        let missing = self.missing.iter();
        let missing =
            missing.map(|Missing { service, why }| json!({ name: service, "error": why }));
        given.chain(missing).collect()
    }

    /// Whether everybody answered.
    pub(crate) fn are_all(&self) -> bool {
        self.missing.is_empty()
    }

    /// Names on standard error who did not answer; says whether that is nobody.
    pub(crate) fn tell_missing(&self) -> bool {
        for Missing { service, why } in &self.missing {
            eprintln!("{service}: {why}");
        }
        self.are_all()
    }
}

impl Selection {
    /// As the routes take it, with more that it may say.
    pub(crate) fn json(&self, more: &[(&str, Option<Value>)]) -> Map<String, Value> {
        let own = [
            ("id", &self.id),
            ("type", &self.event_type),
            ("since", &self.since),
            ("until", &self.until),
        ];
        let own = own.map(|(name, value)| (name, value.as_ref().map(|value| json!(value))));
        let given = own.into_iter().chain(more.iter().cloned());
        given.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// Everything is meant only when it is said.
pub(crate) fn check_chosen(filter: &Map<String, Value>, all: bool) -> Result<()> {
    if !all && filter.keys().all(|name| name == "limit") {
        bail!("say which ones: by --id, --type, --since, --until and what else there is, or --all");
    }
    Ok(())
}

pub(crate) fn exit_code(is_complete: bool) -> ExitCode {
    if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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

/// As a part of a path or of a query.
pub(crate) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}
