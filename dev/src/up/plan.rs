//! Where the servers of a system come from, and what is left of earlier ones.

use anyhow::Result;
use testkit::native::ServerOptions;

use crate::{
    ports,
    project::Project,
    servers::{Addresses, ExternalAddresses, Plan, Source},
    state::{Process, State, stop_all},
    unrecorded,
};

/// From the environment, from the last `up` when they still run, else from here.
pub(super) fn plan(project: &Project, before: Option<&State>) -> Plan {
    let external = ExternalAddresses::from_environment("DEV");
    let options = |name: &str| {
        let options = ServerOptions::kept(project.dev(name)).log(project.log(name));
        Source::Start(ServerOptions { port: ports::of_server(project, name), ..options })
    };
    let running = |names: &[&str], address: fn(&Addresses) -> &String| {
        let state =
            before.filter(|state| names.iter().all(|name| state.running(name).is_some()))?;
        Some(address(&state.addresses).clone())
    };
    let source = |external: Option<String>, running: Option<String>, name: &str| {
        Source::external_or(external.or(running), options(name))
    };
    let postgres = running(&["postgres"], |addresses| &addresses.postgres);
    let redis = running(&["redis"], |addresses| &addresses.redis);
    let rabbitmq = running(&["rabbitmq", "epmd"], |addresses| &addresses.amqp);
    let rabbitmq_api = running(&["rabbitmq", "epmd"], |addresses| &addresses.rabbitmq_api);
    Plan {
        postgres: source(external.postgres, postgres, "postgres"),
        redis: source(external.redis, redis, "redis"),
        rabbitmq: source(external.amqp, rabbitmq, "rabbitmq"),
        rabbitmq_api: external.rabbitmq_api.or(rabbitmq_api),
    }
}

/// Ends what works on the data of a server that is to be started: a server of an `up` that was
/// killed, or what is left of one that has ended.
pub(super) fn end_left_servers(project: &Project, plan: &Plan) -> Result<()> {
    let started = plan.started();
    let left: Vec<Process> =
        started.flat_map(|(server, _)| unrecorded::servers(project, server)).collect();
    stop_all(&left, left_over)
}

/// Says of a process that it was stopped.
pub(super) fn left_over(process: &Process, _in_order: bool) {
    println!("stopped {}, which was left over", process.name);
}
