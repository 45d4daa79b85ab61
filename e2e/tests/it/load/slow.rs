//! Strangers who begin and do not go on, more of them than the service has places: its probes are
//! answered in time, a user who is signed in is served, and nothing of it stays.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use reqwest::Client;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{ServiceProcess, binary, eventually};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::calls::metric;
use crate::stalled::{HALF_A_HEAD, IDLE_BODY, stalled, unread_answers};
use crate::system::{Fixture, PASSWORD};

/// Files that the service may open: what a shell gives on many machines.
const FILES: usize = 1024;
/// `timeoutSeconds` of the probes in `k8s/base`.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// The limit of the manifests, in KiB.
const MEMORY_MAX: u64 = 256 * 1024;
/// How often everybody asks while the strangers are there.
const ROUNDS: usize = 5;
/// More than an idle service has: probes, scrapes and callers who keep theirs.
const CONNECTIONS_OF_A_QUIET_SERVICE: usize = 16;

const CONNECTIONS: &str = "service_connections{service=\"user-service\"}";
const SHED: &str = "service_requests_shed_total{service=\"user-service\"}";
const WITHOUT_PLACE: &str = "service_accept_errors_total{service=\"user-service\"}";

/// A user-service that may open few files, and somebody who is signed in there.
struct Served {
    users: ServiceProcess,
    token: String,
    _folder: TempDir,
    _ground: Fixture,
}

#[tokio::test(flavor = "multi_thread")]
async fn more_half_sent_heads_than_the_service_has_files_keep_nobody_out() {
    let mut served = Served::start().await;
    let strangers = crowd(served.users.port(), 1100, HALF_A_HEAD).await;
    served.is_well().await;
    drop(strangers);
    served.is_quiet_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_bodies_that_do_not_come_than_requests_in_hand_keep_nobody_out() {
    let mut served = Served::start().await;
    let strangers = crowd(served.users.port(), 600, IDLE_BODY).await;
    served.is_well().await;
    assert_eq!(metric(&served.users, SHED).await, 0, "a body that does not come has no place");
    drop(strangers);
    served.is_quiet_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_readers_who_take_nothing_as_requests_in_hand_keep_nobody_out_and_are_cut_off() {
    let mut served = Served::start().await;
    let strangers = crowd(served.users.port(), 512, &unread_answers()).await;
    served.is_well().await;
    let cut = "service_connections_cut_total{reason=\"write\",service=\"user-service\"}";
    eventually("readers who take nothing are cut off", async || {
        (metric(&served.users, cut).await > 0).then_some(())
    })
    .await;
    drop(strangers);
    served.is_quiet_again().await;
}

/// Its own files (databases, broker, log) and three quarters of so few for connections are too many.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_a_file_for_a_connection_lets_the_next_one_in_at_once() {
    let served = Served::start_with_files(48).await;
    let strangers = crowd(served.users.port(), 200, HALF_A_HEAD).await;
    for _ in 0..ROUNDS {
        for path in ["/live", "/metrics"] {
            let answer = newcomer().get(served.users.url(path)).send().await;
            assert_eq!(answer.unwrap().status(), 200, "{path}");
        }
    }
    assert!(metric(&served.users, WITHOUT_PLACE).await > 0, "it had a file for each");
    let lines = served.users.log();
    let lines = lines.lines().filter(|line| line.contains("connections cannot be taken on"));
    assert!(lines.count() < ROUNDS, "the log is not filled with it");
    drop(strangers);
    served.until_quiet().await;
}

/// So many connections over which that is sent, and nothing after it.
async fn crowd(port: u16, size: usize, text: &str) -> Vec<TcpStream> {
    let files = getrlimit(Resource::Nofile);
    // This process has as many sockets as the strangers.
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }).unwrap();
    let mut opening = JoinSet::new();
    for _ in 0..size {
        let text = text.to_owned();
        opening.spawn(async move { stalled(port, &text).await });
    }
    opening.join_all().await.into_iter().flatten().collect()
}

impl Served {
    async fn start() -> Self {
        Self::start_with_files(FILES).await
    }

    async fn start_with_files(files: usize) -> Self {
        let fixture = Fixture::set_up().await;
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("user-service");
        let service = binary("user-service").display().to_string();
        fs::write(&script, format!("#!/bin/sh\nulimit -n {files}\nexec '{service}'\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let mut users = ServiceProcess::spawn_at(&script, &fixture.environment(0));
        users.wait_until_ready().await;
        let token = signed_in(&users).await;
        Self { users, token, _folder: folder, _ground: fixture }
    }

    /// Operators and users are served, each over a connection of its own, and the memory suffices.
    async fn is_well(&mut self) {
        for _ in 0..ROUNDS {
            for path in ["/live", "/ready", "/health", "/metrics"] {
                let answer = newcomer().get(self.users.url(path)).send().await;
                assert_eq!(answer.unwrap().status(), 200, "{path}");
            }
            let me = newcomer().get(self.users.url("/api/users/me")).bearer_auth(&self.token);
            assert_eq!(me.send().await.unwrap().status(), 200);
            let memory = resident_memory(&self.users);
            assert!(memory < MEMORY_MAX, "{memory} KiB");
        }
        assert!(self.users.exited().is_none(), "{}", self.users.log_tail());
        assert_eq!(metric(&self.users, WITHOUT_PLACE).await, 0, "there is a file for each");
    }

    async fn is_quiet_again(&mut self) {
        self.until_quiet().await;
        self.is_well().await;
        let ended = self.users.terminate().await;
        assert!(ended.success(), "{}", self.users.log_tail());
    }

    async fn until_quiet(&self) {
        eventually("the strangers' connections are gone", async || {
            (metric(&self.users, CONNECTIONS).await < CONNECTIONS_OF_A_QUIET_SERVICE).then_some(())
        })
        .await;
    }
}

/// Somebody without a connection who waits as long as a probe does.
fn newcomer() -> Client {
    Client::builder().timeout(PROBE_TIMEOUT).no_proxy().build().unwrap()
}

async fn signed_in(users: &ServiceProcess) -> String {
    let http = Client::new();
    let email = format!("{}@example.com", Uuid::now_v7().simple());
    let body = json!({"email": email, "name": "Ada", "password": PASSWORD});
    let registered = http.post(users.url("/api/users")).json(&body).send().await.unwrap();
    assert_eq!(registered.status(), 201);
    let body = json!({"email": email, "password": PASSWORD});
    let session = http.post(users.url("/api/sessions")).json(&body).send().await.unwrap();
    let session: Value = session.json().await.unwrap();
    session["access_token"].as_str().unwrap().to_owned()
}

/// In KiB.
fn resident_memory(service: &ServiceProcess) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
