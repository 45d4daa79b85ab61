//! The service as a process: what a reader of its log that stands still can do to it, and which commit
//! it says that it is of.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use testkit::{TestBroker, TestDatabase, eventually};

/// How long a request may take before it counts as not answered.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// More requests than fill the pipe and the queue before it.
const REQUESTS_MAX: u32 = 40_000;
const DROPPED: &str = "telemetry_log_lines_dropped_total ";

type Log = Lines<BufReader<ChildStdout>>;

/// The service's own binary, with its standard output in a pipe of the test.
struct Process {
    child: Child,
    base: String,
    http: reqwest::Client,
    _servers: (TestDatabase, TestBroker),
}

impl Process {
    /// Starts it, and reads its log until it listens. Nobody reads after that.
    async fn start() -> (Self, Log) {
        let (database, broker) = tokio::join!(testkit::database("logs"), testkit::broker());
        let mut child = Command::new(env!("CARGO_BIN_EXE_user-service"))
            .env_clear()
            .envs(testkit::environment(&database, &broker))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = log.find_map(|line| {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            line["server.address"].as_str().map(str::to_owned)
        });
        let base = format!("http://{}", address.expect("it listens"));
        let http = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).build().unwrap();
        (Self { child, base, http, _servers: (database, broker) }, log)
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{path} is not answered: {error:?}"));
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// How many lines were dropped, by the metric.
    async fn dropped(&self) -> u64 {
        let (_, metrics) = self.get("/metrics").await;
        let count = metrics.lines().find_map(|line| line.strip_prefix(DROPPED));
        count.map_or(0, |count| count.parse().unwrap())
    }

    /// Makes requests, each of which writes a line, until lines are dropped.
    async fn fill(&self) {
        for number in 0..REQUESTS_MAX {
            assert_eq!(self.get("/api/users/me").await.0, 401, "request {number}");
            if number % 250 == 0 && self.dropped().await > 0 {
                return;
            }
        }
        panic!("no line is dropped after {REQUESTS_MAX} requests that nobody reads of");
    }

    fn terminate(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_stops_no_request_and_tells_what_it_dropped_once_it_is_read() {
    let (process, mut log) = Process::start().await;

    process.fill().await;

    assert_eq!(process.get("/live").await.0, 200);
    let (line, lines) = mpsc::channel();
    std::thread::spawn(move || log.try_for_each(|it| line.send(it.unwrap())));
    let mut told = 0;
    eventually("the log tells how many lines it dropped", async || {
        assert_eq!(process.get("/api/users/me").await.0, 401);
        told += lines.try_iter().map(|line| dropped_by(&line)).sum::<u64>();
        (told == process.dropped().await).then_some(())
    })
    .await;
    process.terminate();
    // The channel ends with the pipe, and that with the process.
    let last = lines.iter().last().expect("it tells its end");
    assert!(last.contains("\"drained\""), "the last line is written: {last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_log_nobody_reads_ends_when_it_is_told_to() {
    let (mut process, _unread) = Process::start().await;
    process.fill().await;

    process.terminate();

    let ended = eventually("it ends", async || process.child.try_wait().unwrap()).await;
    assert!(ended.success(), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_tell_the_version_and_the_commit_that_the_binary_is_built_of() {
    let (process, _log) = Process::start().await;
    let commit = option_env!("REVISION").filter(|revision| !revision.is_empty());
    let commit = commit.map_or_else(checked_out, str::to_owned);

    let (_, health) = process.get("/health").await;
    let (_, metrics) = process.get("/metrics").await;

    let health: Value = serde_json::from_str(&health).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!((&health["version"], &health["commit"]), (&version.into(), &commit.as_str().into()));
    let labels = format!("commit=\"{commit}\",service=\"user-service\",version=\"{version}\"");
    let series = format!("service_build_info{{{labels}}} 1");
    assert!(metrics.lines().any(|line| line == series), "{series} is not in\n{metrics}");
}

/// What git has checked out; `unknown` in a copy of the source without it.
fn checked_out() -> String {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).output();
    let commit = output.ok().filter(|output| output.status.success());
    commit
        .map_or("unknown".to_owned(), |it| String::from_utf8(it.stdout).unwrap().trim().to_owned())
}

/// How many lines this line says were dropped.
fn dropped_by(line: &str) -> u64 {
    let line: Value = serde_json::from_str(line).unwrap();
    line["log.dropped"].as_u64().unwrap_or(0)
}
