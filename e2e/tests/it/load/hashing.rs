//! Passwords are hashed in 19 MiB each, by whoever asks. A service stays below its memory limit
//! however many ask at once and however many go away, and gives the memory back.

use std::fs;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use testkit::{Environment, ServiceProcess, TestBroker, TestDatabase, eventually};

use crate::system::PASSWORD;

/// Requests of one trial, and how many of them are under way at a time.
const REQUESTS: usize = 400;
const CALLERS: usize = 40;
/// What a service may take while it hashes.
const PEAK_KIB_MAX: u64 = 150 * 1024;
/// What it may keep soon after, beyond what it had before: less than one hash takes.
const KEPT_KIB_MAX: u64 = 19 * 1024;

/// A user-service in a process of its own, with one user.
struct Users {
    service: ServiceProcess,
    http: Client,
    /// Of its own memory when it had hashed nothing yet.
    before_kib: u64,
    _servers: (TestDatabase, TestBroker),
}

impl Users {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let (database, broker) = tokio::join!(testkit::database("hashing"), testkit::broker());
        let mut variables: Environment = testkit::environment(&database, &broker);
        for (name, value) in settings {
            variables.insert((*name).to_owned(), (*value).to_owned());
        }
        let service = ServiceProcess::start("user-service", &variables).await;
        let servers = (database, broker);
        let mut users = Self { service, http: Client::new(), before_kib: 0, _servers: servers };
        users.before_kib = users.memory_kib("RssAnon");
        let registered = users.register("ada@example.com").send().await.unwrap();
        assert_eq!(registered.status(), 201);
        users
    }

    fn register(&self, email: &str) -> RequestBuilder {
        let body = json!({"email": email, "name": "Ada", "password": PASSWORD});
        self.http.post(self.service.url("/api/users")).json(&body)
    }

    fn sign_in(&self, password: &str) -> RequestBuilder {
        let body = json!({"email": "ada@example.com", "password": password});
        self.http.post(self.service.url("/api/sessions")).json(&body)
    }

    /// Signs in and asks for the profile, as everybody can again once the load is over.
    async fn assert_served(&self) {
        let session: Value = self.sign_in(PASSWORD).send().await.unwrap().json().await.unwrap();
        let me = self.http.get(self.service.url("/api/users/me"));
        let me = me.bearer_auth(session["access_token"].as_str().unwrap()).send().await.unwrap();
        assert_eq!(me.status(), 200);
    }

    /// A line of the kernel's account of the process, in KiB: `VmHWM` is the most that it has ever
    /// had resident, `RssAnon` what it has now without the program itself, whose pages are files.
    fn memory_kib(&self, line: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.service.id())).unwrap();
        let value = status.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(':'));
        value.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }

    async fn assert_memory_is_given_back(&self) {
        let peak = self.memory_kib("VmHWM");
        assert!(peak < PEAK_KIB_MAX, "{peak} KiB were resident at most");
        let rest = self.before_kib + KEPT_KIB_MAX;
        let what = format!("less than {rest} KiB are its own");
        eventually(&what, async || (self.memory_kib("RssAnon") < rest).then_some(())).await;
    }
}

/// Makes the requests, [`CALLERS`] at a time; gives the answers' statuses, none where the caller
/// went away before.
async fn at_once(requests: impl Iterator<Item = RequestBuilder>) -> Vec<Option<StatusCode>> {
    let answers = requests.map(async |it| it.send().await.ok().map(|answer| answer.status()));
    stream::iter(answers).buffer_unordered(CALLERS).collect().await
}

#[tokio::test]
async fn sign_ins_by_many_callers_stay_below_the_memory_limit_and_give_the_memory_back() {
    // However slow the machine is, nobody waits in vain.
    let patient = [("PASSWORD_WAIT", "60s"), ("REQUEST_TIMEOUT", "60s"), ("GRACE_PERIOD", "140s")];
    let users = Users::start(&patient).await;
    let passwords = [PASSWORD, "a wrong password"];
    let sign_ins = (0..REQUESTS).map(|turn| users.sign_in(passwords[turn % 2]));
    let answers = at_once(sign_ins).await;
    for status in [StatusCode::CREATED, StatusCode::UNAUTHORIZED] {
        let count = answers.iter().filter(|answer| **answer == Some(status)).count();
        assert_eq!(count, REQUESTS / 2, "{status} {answers:?}");
    }
    users.assert_memory_is_given_back().await;
    users.assert_served().await;
}

#[tokio::test]
async fn registrations_that_are_cut_off_stay_below_the_memory_limit_and_give_the_memory_back() {
    let users = Users::start(&[]).await;
    let registrations = (0..REQUESTS).map(|turn| {
        let registration = users.register(&format!("{turn}@example.com"));
        let registration = registration.header("x-deadline-ms", "1");
        // Half of the callers close the connection, at different moments.
        let patience = if turn % 2 == 0 { 10_000 } else { turn as u64 % 40 + 1 };
        registration.timeout(Duration::from_millis(patience))
    });
    let answers = at_once(registrations).await;
    assert!(answers.contains(&None), "no caller went away: {answers:?}");
    users.assert_memory_is_given_back().await;
    users.assert_served().await;
}
