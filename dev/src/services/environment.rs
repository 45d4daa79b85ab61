//! What a service reads from its environment, as `up` sets it.

use std::env;

use anyhow::Result;
use testkit::native::psql;

use super::{DASHBOARD, SIMULATOR, Service};
use crate::{
    ports::Ports,
    project::Project,
    secrets::Secrets,
    servers::{Addresses, Broker},
    wires,
};

/// What a service reads from its environment. What it calls, it calls by the wires that are among the
/// ports.
pub(crate) fn environment(
    project: &Project,
    secrets: &Secrets,
    addresses: &Addresses,
    ports: &Ports,
    service: &Service,
) -> Result<Vec<(String, String)>> {
    let port = |name: &str| ports.get(name).copied().unwrap_or_default().to_string();
    let path = |inner: &str| project.path(inner).display().to_string();
    let through = |name: &str, address: &str| wires::through(ports, name, address);
    let wire = |name: &str| wires::port(ports, name).to_string();
    let postgres = through("postgres", &addresses.postgres);
    let login = psql::with_user(&postgres, &service.role(), secrets.get(&service.role()));
    let amqp = through("rabbitmq", &addresses.amqp);
    let broker = Broker::parse(&amqp)?;
    let mut variables = owned(&[
        ("CONFIG_DIR", &path("config")),
        ("HOST", "127.0.0.1"),
        ("PORT", &port(&service.name)),
        ("DATABASE_URL", &psql::with_database(&login, &service.database())),
        ("REDIS_URL", &through("redis", &addresses.redis)),
        ("RABBITMQ_HOST", broker.host),
        ("RABBITMQ_PORT", broker.port),
        ("RABBITMQ_USERNAME", broker.username),
        ("RABBITMQ_PASSWORD", broker.password),
        ("RABBITMQ_VHOST", &broker.vhost),
        ("STRIPE_API_BASE", &format!("http://127.0.0.1:{}", wire(SIMULATOR))),
        ("STRIPE_API_KEY", "sk_test_development"),
        ("MAIL_DIR", &project.dev("mail").display().to_string()),
    ]);
    variables.extend(secrets.variables());
    for other in project.services() {
        variables.push((other.variable("HOST"), "127.0.0.1".to_owned()));
        variables.push((other.variable("PORT"), wire(&other.name)));
    }
    variables.extend(defaults(&port(DASHBOARD)));
    Ok(variables)
}

/// What the user may set otherwise in the shell.
fn defaults(dashboard_port: &str) -> Vec<(String, String)> {
    let has_dashboard = if dashboard_port == "0" { "false" } else { "true" };
    let receiver = format!("http://127.0.0.1:{dashboard_port}");
    let defaults = [
        ("ENVIRONMENT", "development"),
        // `cargo dev logs` shows it as a person reads it, and filters by what it says.
        ("LOG_FORMAT", "json"),
        // Every request is a trace on the dashboard.
        ("TRACING_ENABLED", has_dashboard),
        ("TRACING_ENDPOINT", &receiver),
        ("TRACING_SAMPLING_PROBABILITY", "1"),
        // Of the OpenTelemetry SDK: within half a second, a request is there to be looked at.
        ("OTEL_BSP_SCHEDULE_DELAY", "500"),
        // So that `cargo dev smoke` is one trace.
        ("TRACING_PROXIES", "127.0.0.1"),
        // What was sent is on the dashboard, too, and can be sent again.
        ("OUTBOX_ARCHIVE", "1d"),
        // The dashboard tells where a process runs with other settings than its files say by now.
        ("DEBUG_ENABLED", "true"),
    ];
    let unset = defaults.into_iter().filter(|(name, _)| env::var_os(name).is_none());
    owned(&unset.collect::<Vec<_>>())
}

pub(super) fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
