//! `cargo dev smoke`: the whole scenario on the running system, over HTTP, as a client sees it.
//!
//! With `--all` everything that users do with their accounts comes after it.
//!
//! A user registers, is welcomed by mail, pays, gets a receipt, is declined, is told so, and moves
//! to another address. Every request carries one sampled `traceparent`, so that the scenario is one
//! trace. Each wait has a limit, and says what was missing when it is over.

mod account;
mod documented;
mod scenario;

use std::{fs, process::ExitCode};

use anyhow::{Context, Result};
use serde_json::Value;

use self::{account::Local, scenario::Scenario};
use crate::{interrupt::Interrupt, project::Project, services::Service, state::State};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Prints one JSON object at the end instead of a line for each step
    #[arg(long)]
    json: bool,
    /// Where a service answers, as often as needed [default: as `up` started it]
    #[arg(long, value_name = "SERVICE=URL", value_parser = place)]
    at: Vec<(String, String)>,
    /// Where every service answers that `--at` does not name: on this machine, on its usual port
    #[arg(long)]
    usual_ports: bool,
    /// Everything that users do with their accounts too; for the system that `up` runs here
    #[arg(long, conflicts_with_all = ["at", "usual_ports"])]
    all: bool,
}

fn place(text: &str) -> Result<(String, String), String> {
    let (name, url) = text.split_once('=').ok_or("write SERVICE=URL")?;
    Ok((name.to_owned(), url.trim_end_matches('/').to_owned()))
}

/// Where the services answer.
#[derive(Debug)]
struct Urls {
    user: String,
    payment: String,
    notification: String,
    /// Those that the scenario is not about.
    further: Vec<Further>,
}

/// A service that the scenario knows nothing about but its document: the one that is checked in, since
/// what runs may have its own on a port for operators.
#[derive(Debug, Clone)]
struct Further {
    name: String,
    url: String,
    document: Value,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    for (name, _) in &args.at {
        project.service(name).context("--at")?;
    }
    let state = State::load(project)?;
    let urls = Urls::find(project, |service| {
        let given = args.at.iter().find(|(name, _)| *name == service.name);
        let running = || state.as_ref()?.running(&service.name)?.url();
        let usual = || args.usual_ports.then(|| usual(service));
        given.map(|(_, url)| url.clone()).or_else(usual).or_else(running)
    })?;
    let mut scenario = Scenario::new(urls, args.json, interrupt.clone())?;
    let mut outcome = scenario.walk();
    if args.all && outcome.is_ok() {
        outcome = Local::new(project, state).and_then(|local| scenario.walk_accounts(&local));
    }
    scenario.conclude(outcome, project)
}

/// The scenario, where each service listens on its usual port.
pub(crate) fn at_usual_ports(project: &Project, interrupt: &Interrupt) -> Result<()> {
    let urls = Urls::find(project, |service| Some(usual(service)))?;
    let mut scenario = Scenario::new(urls, false, interrupt.clone())?;
    let outcome = scenario.walk();
    scenario.conclude(outcome, project).map(drop)
}

fn usual(service: &Service) -> String {
    format!("http://127.0.0.1:{}", service.port)
}

impl Urls {
    fn find(project: &Project, url: impl Fn(&Service) -> Option<String>) -> Result<Self> {
        let mut urls = Vec::new();
        for service in project.services() {
            let name = service.name.clone();
            let url = url(service).with_context(|| {
                format!("{name} does not run; start it with: {}", project.command("up --detach"))
            })?;
            urls.push((name, url));
        }
        let mut take = |name: &str| {
            let place = urls.iter().position(|(found, _)| found == name);
            let place = place.with_context(|| format!("services.tsk has no [service:{name}]"))?;
            Ok::<_, anyhow::Error>(urls.remove(place).1)
        };
        let user = take("user-service")?;
        let payment = take("payment-service")?;
        let notification = take("notification-service")?;
        let further = urls.into_iter().map(|(name, url)| {
            let path = project.path(&format!("services/{name}/openapi.json"));
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let document =
                serde_json::from_str(&text).with_context(|| path.display().to_string())?;
            Ok(Further { name, url, document })
        });
        Ok(Self { user, payment, notification, further: further.collect::<Result<_>>()? })
    }
}
