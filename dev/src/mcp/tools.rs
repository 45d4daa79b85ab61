//! The tools: what each is called, what it takes, and what it does.

use anyhow::{Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::calls;
use crate::project::Project;

/// Entries, traces or messages in one answer when nothing else is said, and at most.
const LIMIT: u64 = 50;
const LIMIT_MAX: u64 = 500;

/// Something that an assistant can have done.
#[derive(Debug)]
pub(super) struct Tool {
    pub(super) name: &'static str,
    describes: &'static str,
    /// What it takes: name, JSON type, meaning; those with `!` before their names have to be given.
    takes: &'static [(&'static str, &'static str, &'static str)],
    /// Whether it leaves everything as it is.
    only_reads: bool,
    does: Does,
}

#[derive(Debug)]
enum Does {
    /// A command of this tool; `{name}` stands for a parameter, and what holds one that was not given is
    /// left out with the flag before it.
    Command(&'static [&'static str]),
    /// A route of the dashboard's API, whose query is what was given.
    Api(&'static str),
    Settings,
    Route,
}

const SERVICE: (&str, &str, &str) = ("service", "string", "a service, such as user-service");
const RUN: (&str, &str, &str) = ("run", "string", "an earlier run; the current one when not given");

const TOOLS: [Tool; 14] = [
    Tool {
        name: "status",
        describes: "What runs: each process with its state, address, and whether it is older than its binary.",
        takes: &[],
        only_reads: true,
        does: Does::Command(&["status", "--json"]),
    },
    Tool {
        name: "logs",
        describes: "Lines of all logs in the order of time, the last ones that match.",
        takes: &[
            SERVICE,
            ("level", "string", "as bad as trace, debug, info, warn or error"),
            ("trace", "string", "a trace id, or a request id"),
            ("text", "string", "what a line has to say"),
            ("filter", "string", "words such as `payment.id:p-1 -text`"),
            ("since", "string", "30s, 5m, 1h ago, or a time"),
            ("limit", "integer", "how many lines"),
        ],
        only_reads: true,
        does: Does::Command(&[
            "logs",
            "--json",
            "--level={level}",
            "--trace={trace}",
            "--grep={text}",
            "--filter={filter}",
            "--since={since}",
            "--lines={limit}",
            "--",
            "{service}",
        ]),
    },
    Tool {
        name: "traces",
        describes: "The newest traces: name, services, duration, errors.",
        takes: &[
            SERVICE,
            ("name", "string", "what the name of the trace holds, such as a route"),
            ("min_ms", "integer", "took so many milliseconds at least"),
            ("errors", "boolean", "only those with errors"),
            RUN,
            ("limit", "integer", "how many"),
        ],
        only_reads: true,
        does: Does::Api("/api/traces"),
    },
    Tool {
        name: "trace",
        describes: "All spans of a trace and of those that it is linked with, over HTTP, broker, outbox and database.",
        takes: &[("!id", "string", "its id, or the beginning of it"), RUN],
        only_reads: true,
        does: Does::Api("/api/traces/{id}"),
    },
    Tool {
        name: "metrics",
        describes: "The series of a metric with their last values; without a name, the names that there are.",
        takes: &[("name", "string", "such as outbox_oldest_age_seconds"), SERVICE],
        only_reads: true,
        does: Does::Api("/api/metrics"),
    },
    Tool {
        name: "calls",
        describes: "What each service calls: endpoints with their health, ejections, breakers, retry budgets.",
        takes: &[SERVICE],
        only_reads: true,
        does: Does::Command(&["calls", "--json", "--service={service}"]),
    },
    Tool {
        name: "dead_letters",
        describes: "The messages that were given up on, and why; how much waits in each queue.",
        takes: &[SERVICE],
        only_reads: true,
        does: Does::Command(&["queues", "list", "--json", "--service={service}"]),
    },
    Tool {
        name: "dead_letter",
        describes: "One of them with what it says, which may be personal data.",
        takes: &[("!id", "string", "its id")],
        only_reads: true,
        does: Does::Command(&["queues", "peek", "--", "{id}"]),
    },
    Tool {
        name: "replay_dead_letter",
        describes: "Puts a dead letter back into its queue.",
        takes: &[("!id", "string", "its id")],
        only_reads: false,
        does: Does::Command(&["queues", "replay", "--json", "--id={id}"]),
    },
    Tool {
        name: "events",
        describes: "Events that a service has sent.",
        takes: &[SERVICE],
        only_reads: true,
        does: Does::Command(&["events", "list", "--json", "--service={service}"]),
    },
    Tool {
        name: "settings",
        describes: "Every setting of a service and where it is from; secrets are masked.",
        takes: &[("!service", "string", "a service, such as user-service")],
        only_reads: true,
        does: Does::Settings,
    },
    Tool {
        name: "restart",
        describes: "Builds a service and replaces it while it serves.",
        takes: &[("!service", "string", "a service, such as user-service")],
        only_reads: false,
        does: Does::Command(&["restart", "--", "{service}"]),
    },
    Tool {
        name: "stop",
        describes: "Stops a service; the rest of the system runs on.",
        takes: &[("!service", "string", "a service, such as user-service")],
        only_reads: false,
        does: Does::Command(&["stop", "--", "{service}"]),
    },
    Tool {
        name: "call_route",
        describes: "Sends a request to a route of a service, with a token; the routes are at /openapi.json of each.",
        takes: &[
            ("!service", "string", "a service, such as user-service"),
            ("!path", "string", "path and query, such as /api/users/me"),
            ("method", "string", "GET when not given"),
            ("body", "object", "what is sent as JSON"),
            ("user", "string", "the id of the user that the token is of; no token when not given"),
            ("role", "string", "admin, for a token of an administrator"),
        ],
        only_reads: false,
        does: Does::Route,
    },
];

impl Tool {
    pub(super) fn all() -> impl Iterator<Item = &'static Self> {
        TOOLS.iter()
    }

    /// As `tools/list` tells it.
    pub(super) fn described(&self) -> Value {
        let takes = self.takes.iter();
        let properties: Map<String, Value> = takes
            .map(|(name, kind, meaning)| {
                (plain(name).to_owned(), json!({"type": kind, "description": meaning}))
            })
            .collect();
        json!({
            "name": self.name,
            "description": self.describes,
            "inputSchema": {
                "type": "object",
                "properties": properties,
                "required": self.required().collect::<Vec<_>>(),
                "additionalProperties": false,
            },
            "annotations": {"readOnlyHint": self.only_reads, "openWorldHint": false},
        })
    }

    fn required(&self) -> impl Iterator<Item = &'static str> {
        self.takes.iter().filter_map(|(name, ..)| name.strip_prefix('!'))
    }

    /// What it tells.
    pub(super) fn call(&self, project: &Project, arguments: &Value) -> Result<String> {
        let empty = Map::new();
        let given = arguments.as_object().unwrap_or(&empty);
        self.check(given)?;
        match &self.does {
            Does::Command(words) => calls::command(project, &words_of(words, given)),
            Does::Api(path) => calls::api(project, path, given),
            Does::Settings => calls::settings(project, text(given, "service")),
            Does::Route => calls::route(project, given),
        }
    }

    fn check(&self, given: &Map<String, Value>) -> Result<()> {
        if let Some(missing) = self.required().find(|name| text(given, name).is_empty()) {
            bail!("`{missing}` is missing");
        }
        for (name, value) in given {
            let known = self.takes.iter().find(|(known, ..)| plain(known) == name);
            let Some((_, kind, _)) = known else { bail!("there is no parameter `{name}`") };
            let fits = match *kind {
                "string" => value.is_string(),
                "integer" => {
                    value.as_u64().is_some_and(|number| number <= LIMIT_MAX || name != "limit")
                }
                "boolean" => value.is_boolean(),
                _ => value.is_object(),
            };
            ensure!(fits, "`{name}` is no {kind}, or too large (a limit is {LIMIT_MAX} at most)");
        }
        Ok(())
    }
}

fn plain(name: &str) -> &str {
    name.trim_start_matches('!')
}

/// A parameter as text; empty when it was not given.
pub(super) fn text<'a>(given: &'a Map<String, Value>, name: &str) -> &'a str {
    given.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The words of a command with what was given in their places.
fn words_of(words: &[&str], given: &Map<String, Value>) -> Vec<String> {
    let put = |word: &&str| {
        let Some((before, rest)) = word.split_once('{') else { return Some((*word).to_owned()) };
        let name = rest.trim_end_matches('}');
        let value = match given.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None if name == "limit" => LIMIT.to_string(),
            None => return None,
        };
        Some(format!("{before}{value}"))
    };
    words.iter().filter_map(put).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tool(name: &str) -> &'static Tool {
        Tool::all().find(|tool| tool.name == name).unwrap()
    }

    #[test]
    fn what_was_given_stands_in_the_command_and_the_rest_is_left_out() {
        let given = json!({"service": "user-service", "text": "--follow", "limit": 3});
        let Does::Command(words) = tool("logs").does else { panic!("a command") };
        let words = words_of(words, given.as_object().unwrap());
        assert_eq!(words, ["logs", "--json", "--grep=--follow", "--lines=3", "--", "user-service"]);
    }

    #[test]
    fn parameters_are_held_to_what_a_tool_takes() {
        for (name, given, fault) in [
            ("trace", json!({}), "`id` is missing"),
            ("logs", json!({"limit": 501}), "`limit`"),
            ("logs", json!({"service": 3}), "`service` is no string"),
            ("status", json!({"x": 1}), "no parameter `x`"),
        ] {
            let error = tool(name).check(given.as_object().unwrap()).unwrap_err();
            assert!(error.to_string().contains(fault), "{error}");
        }
        tool("logs").check(json!({"limit": 500}).as_object().unwrap()).unwrap();
    }

    #[test]
    fn every_parameter_of_a_command_is_one_that_the_tool_takes() {
        for tool in Tool::all() {
            let Does::Command(words) = tool.does else { continue };
            for name in words.iter().filter_map(|word| word.split_once('{')) {
                let name = name.1.trim_end_matches('}');
                assert!(tool.takes.iter().any(|(known, ..)| plain(known) == name), "{name}");
            }
        }
    }
}
