//! The table of a running system: URLs, logs, a demo login and a curl line.

use serde_json::Value;

use crate::{
    dashboard,
    http::{self, Client},
    ports,
    project::Project,
    servers::shown,
    services::{SIMULATOR, Service, USERS},
    state::{Kind, Process, State},
    up::{DEMO_EMAIL, DEMO_PASSWORD},
};

/// Prints where everything is and a line to try it with.
pub(crate) fn print(project: &Project, state: &State, client: &Client) {
    let url = |name: &str| state.running(name).and_then(Process::url).unwrap_or_default();
    let services = project.services().iter().map(|service| {
        let url = url(&service.name);
        let health = client.get(&format!("{url}/health")).map(|answer| answer.json());
        let status = health.map_or_else(
            |_| "no answer".to_owned(),
            |health| health["status"].as_str().unwrap_or("unknown").to_owned(),
        );
        let row =
            [&url, &status, &format!("{url}/docs"), &format!("{url}/metrics")].map(Clone::clone);
        let [url, status, docs, metrics] = row;
        [service.name.clone(), url, status, docs, metrics]
    });
    println!();
    columns(["service", "url", "health", "docs", "metrics"], services);
    println!();

    let addresses = &state.addresses;
    let api = shown(&addresses.rabbitmq_api);
    let management =
        if api.is_empty() { String::new() } else { format!("management http://{api}") };
    let databases: Vec<String> = project.services().iter().map(Service::database).collect();
    let servers = [
        ["postgres", &shown(&addresses.postgres), &databases.join(", ")],
        ["redis", &shown(&addresses.redis), ""],
        ["rabbitmq", &shown(&addresses.amqp), &management],
        [SIMULATOR, &url(SIMULATOR), "the payment provider's test cards"],
    ];
    let servers = servers.map(|row| row.map(str::to_owned));
    columns(["server", "address", ""], servers);
    for line in ports::unusual(project, state) {
        println!("{line}");
    }

    let user = url(USERS);
    println!();
    if let Some(url) = dashboard::url(project, state) {
        println!("dashboard  {url}");
    }
    println!("logs    {}", project.dev("logs").display());
    println!("mails   {}", project.dev("mail").display());
    println!("logins  of the servers: {}", State::file(project).display());
    println!("demo    {DEMO_EMAIL} / {DEMO_PASSWORD}");
    let direct = http::past_the_proxy();
    println!("try     curl -s {direct}{user}/api/sessions -H 'content-type: application/json' \\");
    println!("          -d '{{\"email\":\"{DEMO_EMAIL}\",\"password\":\"{DEMO_PASSWORD}\"}}'");
}

/// Says that a process was stopped.
pub(crate) fn stopped(process: &Process, in_order: bool) {
    let what = match process.kind {
        Kind::Service => "drained",
        Kind::Simulator | Kind::Tool | Kind::Server => "stopped",
    };
    let word = if in_order { what } else { "killed, it did not end in time" };
    println!("{}: {word}", process.name);
}

/// A value as a cell.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Prints rows under their heads, each column as wide as its widest cell.
pub(crate) fn columns<const N: usize>(
    heads: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) {
    let mut table = vec![heads.map(str::to_uppercase)];
    table.extend(rows);
    aligned(&table).for_each(|line| println!("{line}"));
}

fn aligned<const N: usize>(table: &[[String; N]]) -> impl Iterator<Item = String> {
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    table.iter().map(move |row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_as_wide_as_its_widest_cell_in_any_script() {
        let table = [["Jürgen", "1"], ["Zoë", "2"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&table).collect::<Vec<_>>(), ["Jürgen  1", "Zoë     2"]);
    }
}
