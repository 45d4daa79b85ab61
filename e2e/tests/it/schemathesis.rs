//! Running services answer as their documents say, whatever they are asked: schemathesis asks.
//!
//! `cargo dev check schemathesis` installs it and runs this alone. What it may find is in
//! `e2e/schemathesis.toml`, with a reason each.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use testkit::ServiceProcess;
use tokio::process::Command;
use tokio::time::timeout;

use crate::system::{Fixture, administrator, token};

/// Exceptions, and how much is asked.
const SETTINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemathesis.toml");
/// The end of a run that hangs. How much is asked is bounded by the settings: a minute's work for a
/// machine of its own.
const LIMIT: Duration = Duration::from_mins(10);

#[tokio::test]
#[ignore = "needs schemathesis, which `cargo dev check schemathesis` installs"]
async fn services_answer_as_their_documents_say() {
    let program = std::env::var("SCHEMATHESIS").unwrap();
    let fixture = Fixture::set_up().await;
    let variables = fixture.environment(0);
    let system = fixture.start(variables.clone()).await;
    let mut runs = Vec::new();
    for service in [&system.users, &system.payments, &system.notifications] {
        // A user for each run: what is asked may delete the one who asks.
        runs.push((service, "user", system.new_user().await.token));
        runs.push((service, "administrator", administrator(&variables)));
    }
    let service = &system.notifications;
    let words = ["service", "payment-service", "--for", service.name()];
    runs.push((service, "service", token(&variables, &words)));

    for (service, caller, token) in &runs {
        // Whoever is not let in asks nothing.
        let request = system.request(Method::GET, &service.url("/admin/log")).bearer_auth(token);
        let status = request.send().await.unwrap().status();
        assert_ne!(status, StatusCode::UNAUTHORIZED, "{} as {caller}", service.name());
    }
    let folder = tempfile::tempdir().unwrap();
    let asked = runs
        .iter()
        .map(|(service, caller, token)| ask(&program, service, caller, token, folder.path()));
    let outputs = timeout(LIMIT, join_all(asked)).await.expect("it takes too long");
    let failed: Vec<String> = outputs.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Asks a service as this caller; gives what was found, if anything was.
async fn ask(
    program: &str,
    service: &ServiceProcess,
    caller: &str,
    token: &str,
    folder: &Path,
) -> Option<String> {
    let mut command = Command::new(program);
    command.args(["--config-file", SETTINGS, "run", &service.url("/openapi.json")]);
    // The token in no argument, which everybody on the machine may read.
    command.env("SCHEMATHESIS_TOKEN", token);
    // It keeps files of its own where it runs.
    command.current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let Output { status, stdout, .. } = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&stdout);
    (!status.success()).then(|| format!("== {} as {caller}\n{text}", service.name()))
}
