//! A process that publishes or consumes. Killed when dropped.

use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::Environment;
use testkit::native::{Launch, ProcessId, Signal};
use tokio::time::sleep;

/// How long a worker may take to drain.
const DRAIN: Duration = Duration::from_secs(30);

pub(super) struct Process {
    role: &'static str,
    number: &'static str,
    variables: Environment,
    log: PathBuf,
    id: ProcessId,
}

impl Process {
    pub(super) fn start(
        role: &'static str,
        number: &'static str,
        variables: &Environment,
        logs: &Path,
    ) -> Self {
        let log = logs.join(format!("{role}-{number}.log"));
        let mut variables = variables.clone();
        // The database knows whose each connection is.
        let url = variables.get_mut("DATABASE_URL").unwrap();
        let sign = if url.contains('?') { '&' } else { '?' };
        *url = format!("{url}{sign}application_name={role}-{number}");
        let id = launch(role, number, &variables, &log);
        Self { role, number, variables, log, id }
    }

    /// What its connections to the database are called.
    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.role, self.number)
    }

    pub(super) fn kill_and_start(&mut self) {
        self.id.kill().unwrap();
        self.start_again();
    }

    pub(super) async fn drain_and_start(&mut self) {
        self.drain().await;
        self.start_again();
    }

    /// Ends it in order.
    pub(super) async fn drain(&self) {
        let id = self.id;
        let stopping = tokio::task::spawn_blocking(move || id.stop(Signal::TERM, DRAIN));
        let in_order = stopping.await.unwrap().unwrap();
        assert!(in_order, "{} did not drain:\n{}", self.name(), self.log_tail(30));
    }

    pub(super) async fn freeze(&self, lasts: Duration) {
        self.stop();
        sleep(lasts).await;
        self.cont();
    }

    /// Stops its clock.
    pub(super) fn stop(&self) {
        self.id.freeze().unwrap();
    }

    /// Lets it go on.
    pub(super) fn cont(&self) {
        self.id.cont().unwrap();
    }

    pub(super) fn log_tail(&self, lines: usize) -> String {
        testkit::native::log_tail(&self.log, lines)
    }

    fn start_again(&mut self) {
        self.id = launch(self.role, self.number, &self.variables, &self.log);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _nobody_to_tell = self.id.kill();
    }
}

/// The worker is this very program, told by its arguments to run one "test".
fn launch(role: &str, number: &str, variables: &Environment, log: &Path) -> ProcessId {
    let program = std::env::current_exe().unwrap();
    let mut launch = Launch::new(&program, log)
        .append(true)
        .args(["--exact", "campaign::worker::works", "--ignored", "--nocapture"])
        .env("CAMPAIGN_ROLE", role)
        .env("CAMPAIGN_NUMBER", number);
    for (name, value) in variables {
        launch = launch.env(name, value);
    }
    launch.spawn().unwrap()
}
