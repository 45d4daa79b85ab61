//! `cargo dev calls`: what the running services call and what they think of it, over their admin
//! routes; and the circuit breakers, forced.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    admin::{self, Admin, Endpoint},
    project::Project,
    table,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without an action it shows what each service calls: the endpoints, why new calls go there or do not, the circuit
breaker, how many requests are in flight, and how many retries are left. `open` keeps CALLER from calling TARGET, and
`close` lets it call whatever fails; either goes back by itself, and `automatic` ends it at once. A forced breaker is
marked with `!`.

A service that does not answer is named on standard error, and the others answer all the same; the exit code is 1 then.")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// Calls of this service only
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Prints JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Holds a breaker open: no call is made
    Open(Held),
    /// Holds a breaker closed: every call is made
    Close(Held),
    /// Lets calls decide again
    Automatic(Breaker),
}

#[derive(Debug, clap::Args)]
struct Held {
    #[command(flatten)]
    breaker: Breaker,
    /// For so many seconds, 1 to 3600
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 300,
        value_parser = clap::value_parser!(u16).range(1..=3_600))]
    seconds: u16,
}

/// The breaker from a service to what it calls.
#[derive(Debug, clap::Args)]
struct Breaker {
    /// The service that calls
    caller: String,
    /// What it calls, as `cargo dev calls` shows it
    target: String,
}

impl Action {
    /// Whose breaker, and what to ask for.
    fn change(&self) -> (&Breaker, Value) {
        match self {
            Self::Open(held) => (&held.breaker, json!({"state": "open", "for": held.seconds})),
            Self::Close(held) => (&held.breaker, json!({"state": "closed", "for": held.seconds})),
            Self::Automatic(breaker) => (breaker, json!({"state": "automatic"})),
        }
    }
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<ExitCode> {
    let Some(action) = &args.action else {
        return Ok(list(&Admin::find(project, args.service.as_deref())?, args.json));
    };
    let (Breaker { caller, target }, change) = action.change();
    let admin = Admin::find(project, Some(caller))?;
    let Endpoint { service, url, .. } = admin.one()?;
    let url = format!("{url}/admin/calls/{}/breaker", admin::escaped(target));
    let held = admin.call("PUT", &url, Some(&change))?;
    if args.json {
        println!("{held:#}");
    } else {
        print(&[json!({"caller": service, "targets": [held]})]);
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what those call that answer, and says who does not.
fn list(admin: &Admin, as_json: bool) -> ExitCode {
    let answers =
        admin.each(|Endpoint { url, .. }| admin.call("GET", &format!("{url}/admin/calls"), None));
    if as_json {
        println!("{:#}", answers.json("caller"));
    } else {
        print(&answers.given.iter().map(|(_, calls)| calls.clone()).collect::<Vec<_>>());
    }
    admin::exit_code(answers.tell_missing())
}

fn print(calls: &[Value]) {
    let heads = ["caller", "target", "breaker", "in flight", "retries left", "why"];
    table::columns(heads, targets(calls).map(|(caller, target)| of_target(caller, target)));
    println!();
    let heads = ["target", "endpoint", "state", "in flight", "ejected until", "why"];
    table::columns(heads, targets(calls).flat_map(|(_, target)| of_endpoints(target)));
}

/// Each target with its caller.
fn targets(calls: &[Value]) -> impl Iterator<Item = (&Value, &Value)> {
    calls.iter().flat_map(|call| {
        let targets = call["targets"].as_array().into_iter().flatten();
        targets.map(move |target| (&call["caller"], target))
    })
}

fn of_target(caller: &Value, target: &Value) -> [String; 6] {
    let breaker = &target["breaker"];
    let mark = if breaker["is_forced"] == true { "!" } else { "" };
    let until = ["forced_until", "tries_again_at"].iter().find_map(|key| breaker[key].as_str());
    let until = until.map(|until| format!(", until {until}")).unwrap_or_default();
    let fault = &target["last_fault"];
    let fault = fault["fault"].as_str().map(|what| format!("; last fault: {what}"));
    let bulkhead = &target["bulkhead"];
    let left = target["retry_budget"]["left"].as_f64().map(|left| format!("{left:.1}"));
    [
        table::cell(caller),
        table::cell(&target["target"]),
        table::cell(&breaker["state"]) + mark,
        format!("{} of {}", bulkhead["used"], bulkhead["capacity"]),
        left.unwrap_or_else(|| "-".to_owned()),
        table::cell(&breaker["reason"]) + &until + &fault.unwrap_or_default(),
    ]
}

fn of_endpoints(target: &Value) -> impl Iterator<Item = [String; 6]> {
    let endpoints = target["endpoints"].as_array().into_iter().flatten();
    endpoints.map(|endpoint| {
        let names = ["address", "state", "in_flight", "ejected_until", "reason"];
        let [address, state, in_flight, until, reason] =
            names.map(|name| table::cell(&endpoint[name]));
        [table::cell(&target["target"]), address, state, in_flight, until, reason]
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::{Command, parse};

    fn change(line: &str) -> Option<Value> {
        let Command::Calls(args) = parse(line).ok()? else { panic!("calls") };
        Some(args.action.unwrap().change().1)
    }

    #[test]
    fn a_breaker_is_held_for_five_minutes_unless_it_is_said_and_for_an_hour_at_most() {
        let open = change("calls open payment-service user-service").unwrap();
        assert_eq!(open, json!({"state": "open", "for": 300}));
        let close = change("calls close payment-service user-service --for 60").unwrap();
        assert_eq!(close, json!({"state": "closed", "for": 60}));
        let automatic = change("calls automatic payment-service user-service").unwrap();
        assert_eq!(automatic, json!({"state": "automatic"}));
        for seconds in ["0", "3601"] {
            assert_eq!(change(&format!("calls open a b --for {seconds}")), None);
        }
        assert_eq!(change("calls open payment-service"), None);
    }

    #[test]
    fn a_forced_breaker_is_marked_and_a_target_without_one_has_a_dash() {
        let forced = json!({
            "target": "user-service", "bulkhead": {"used": 1, "capacity": 256},
            "retry_budget": {"left": 9.96}, "last_fault": {"fault": "unreachable"},
            "breaker": {"state": "open", "reason": "it is forced", "is_forced": true,
                "forced_until": "2026-01-15T09:30:00Z"},
        });
        let row = of_target(&json!("payment-service"), &forced);
        let why = "it is forced, until 2026-01-15T09:30:00Z; last fault: unreachable";
        assert_eq!(row, ["payment-service", "user-service", "open!", "1 of 256", "10.0", why]);
        let provider = json!({
            "target": "payment-provider", "bulkhead": {"used": 0, "capacity": 16},
            "endpoints": [{"address": "http://127.0.0.1:3010", "state": "eligible",
                "in_flight": 0, "reason": "it is the only one"}],
        });
        let row = of_target(&json!("payment-service"), &provider);
        assert_eq!(row[2..], ["-", "0 of 16", "-", "-"].map(str::to_owned));
        let endpoints: Vec<_> = of_endpoints(&provider).collect();
        let cells = ["http://127.0.0.1:3010", "eligible", "0", "-", "it is the only one"];
        assert_eq!(endpoints[0][1..], cells.map(str::to_owned));
    }
}
