//! `consul`: one set of tests for a fake built to the contract and for a real agent.
//!
//! Those of the real agent need `CONSUL_BIN`, and are ignored unless they are asked for:
//! `CONSUL_BIN=… cargo nextest run -p discovery --run-ignored all`.

mod fake;

use std::collections::BTreeSet;
use std::time::Duration;

use discovery::{Discovery, DiscoverySettings, ProviderType, Readiness};
use serde_json::{Value, json};
use testkit::native::{Consul, ServerOptions};
use tokio_util::sync::CancellationToken;

use crate::conformance::{RegistrationServer, Server, conforms, discovery, registers};
use crate::support::{
    Hosted, PORT, Running, SERVICE, client, host, number, provider_errors, settings, until,
    until_broken,
};
use fake::Agent;

/// An agent, and what only one of the two kinds can do.
struct AgentServer<B> {
    backend: B,
    http: reqwest::Client,
}

trait Backend {
    fn url(&self) -> String;
    fn go_down(&mut self);
    fn come_back(&mut self);
    fn freeze(&mut self);
    fn run_on(&mut self);
}

impl Backend for (Agent, Hosted) {
    fn url(&self) -> String {
        self.1.url()
    }

    fn go_down(&mut self) {
        self.1.go_down();
    }

    fn come_back(&mut self) {
        // As the real one in development mode does.
        self.0.forget();
        self.1.come_back();
    }

    fn freeze(&mut self) {
        self.0.freeze(true);
    }

    fn run_on(&mut self) {
        self.0.freeze(false);
    }
}

impl Backend for Consul {
    fn url(&self) -> String {
        Self::url(self)
    }

    fn go_down(&mut self) {
        self.kill().unwrap();
    }

    fn come_back(&mut self) {
        self.start_again().unwrap();
    }

    fn freeze(&mut self) {
        (**self).freeze().unwrap();
    }

    fn run_on(&mut self) {
        self.cont().unwrap();
    }
}

impl<B: Backend> AgentServer<B> {
    fn of(backend: B) -> Self {
        Self { backend, http: client() }
    }

    fn settings(&self) -> DiscoverySettings {
        DiscoverySettings { consul_url: self.backend.url(), ..settings(ProviderType::Consul) }
    }

    async fn put(&self, path: &str, body: Value) {
        let url = format!("{}/v1/agent/service/{path}", self.backend.url());
        let answer = self.http.put(url).json(&body).send().await.unwrap();
        let is_gone = path.starts_with("deregister") && answer.status() == 404;
        assert!(answer.status().is_success() || is_gone, "{}", answer.text().await.unwrap());
    }

    /// Everybody who is registered, and whether he passes.
    async fn all(&self) -> Vec<(u8, bool)> {
        let url = format!("{}/v1/health/service/{SERVICE}", self.backend.url());
        let answer: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        let entry = |entry: &Value| {
            let is_passing = |check: &Value| check["Status"] == "passing";
            let passes = entry["Checks"].as_array().unwrap().iter().all(is_passing);
            (number(entry["Service"]["Address"].as_str().unwrap()), passes)
        };
        answer.as_array().unwrap().iter().map(entry).collect()
    }
}

fn fake() -> AgentServer<(Agent, Hosted)> {
    let agent = Agent::new();
    let hosted = Hosted::start(agent.router());
    AgentServer::of((agent, hosted))
}

fn real() -> AgentServer<Consul> {
    AgentServer::of(Consul::start(&ServerOptions::temporary().unwrap()).unwrap())
}

fn id(service: &str, number: u8) -> String {
    format!("{service}-{}-{PORT}", host(number))
}

impl<B: Backend> Server for AgentServer<B> {
    fn discovery(&self) -> Discovery {
        discovery(&self.settings())
    }

    async fn hold(&mut self, service: &str, numbers: &[u8]) {
        for number in 1..=6 {
            let id = id(service, number);
            if numbers.contains(&number) {
                let body = json!({
                    "ID": id, "Name": service, "Address": host(number), "Port": PORT,
                });
                self.put("register", body).await;
            } else {
                self.put(&format!("deregister/{id}"), json!(null)).await;
            }
        }
    }

    async fn go_down(&mut self) {
        self.backend.go_down();
    }

    async fn come_back(&mut self) {
        self.backend.come_back();
    }

    async fn freeze(&mut self) {
        self.backend.freeze();
    }

    async fn run_on(&mut self) {
        self.backend.run_on();
    }
}

impl<B: Backend> RegistrationServer for AgentServer<B> {
    async fn registered(&self) -> BTreeSet<u8> {
        self.all().await.into_iter().map(|(number, _)| number).collect()
    }

    async fn forget(&mut self) {
        for number in self.registered().await {
            self.put(&format!("deregister/{}", id(SERVICE, number)), json!(null)).await;
        }
    }
}

/// A process registers and heartbeats; then the agent restarts and has lost it: it comes back by
/// itself. An agent that stood still finds the heartbeat lapsed, and passes again with the next.
async fn keeps_registered<B: Backend>(mut server: AgentServer<B>) {
    let draining = CancellationToken::new();
    let registration = server.discovery().registration(SERVICE, PORT, "1.0.0");
    let kept = tokio::spawn(registration.run(draining.clone()));
    until_passing(&server).await;
    // Longer than it lives without a heartbeat.
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert_eq!(server.all().await, [(9, true)]);
    server.go_down().await;
    server.come_back().await;
    until_passing(&server).await;
    draining.cancel();
    kept.await.unwrap().unwrap();
    assert_eq!(server.all().await, []);
}

async fn until_passing<B: Backend>(server: &AgentServer<B>) {
    while server.all().await != [(9, true)] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_fake_consul_conforms() {
    conforms(&mut fake()).await;
}

#[tokio::test]
async fn a_process_is_registered_with_a_fake_consul_until_it_drains() {
    registers(&mut fake()).await;
}

#[tokio::test]
async fn a_registration_outlives_a_restart_of_a_fake_consul() {
    keeps_registered(fake()).await;
}

/// One agent for all, because it takes seconds to start.
#[tokio::test]
#[ignore = "needs a Consul agent: CONSUL_BIN"]
async fn a_real_consul_conforms_and_keeps_registrations() {
    let mut server = real();
    conforms(&mut server).await;
    server.forget().await;
    registers(&mut server).await;
    keeps_registered(server).await;
}

#[tokio::test]
#[ignore = "needs a Consul agent: CONSUL_BIN"]
async fn a_frozen_real_consul_is_noticed_and_changes_nothing_and_lapsed_heartbeats_come_back() {
    let mut server = real();
    let draining = CancellationToken::new();
    let registration = server.discovery().registration(SERVICE, PORT, "1.0.0");
    let kept = tokio::spawn(registration.run(draining.clone()));
    until_passing(&server).await;
    let running = Running::start(&server.settings());
    running.until_known(&[9]).await;
    let before = provider_errors();
    server.freeze().await;
    until_broken(before).await;
    assert_eq!(running.known(), BTreeSet::from([9]));
    server.run_on().await;
    until_passing(&server).await;
    let is_ready = || running.registry.statuses(SERVICE)[0].0.readiness == Readiness::Ready;
    until("it is ready", is_ready).await;
    assert_eq!(running.known(), BTreeSet::from([9]));
    draining.cancel();
    kept.await.unwrap().unwrap();
}

#[tokio::test]
async fn without_a_leader_the_last_good_set_stays_and_its_index_is_forgotten() {
    let mut server = fake();
    server.hold(SERVICE, &[1, 2]).await;
    let running = Running::start(&server.settings());
    running.until_known(&[1, 2]).await;
    let before = provider_errors();
    server.backend.0.lose_leader(true);
    until_broken(before + 1).await;
    assert_eq!(running.known(), BTreeSet::from([1, 2]));
    server.backend.0.lose_leader(false);
    server.hold(SERVICE, &[1, 2, 3]).await;
    running.until_known(&[1, 2, 3]).await;
}

#[tokio::test]
async fn when_the_index_goes_backwards_what_is_missing_is_waited_for() {
    let mut server = fake();
    server.hold(SERVICE, &[1, 2]).await;
    let settings = DiscoverySettings { removal_grace: Duration::from_secs(2), ..server.settings() };
    let running = Running::start(&settings);
    running.until_known(&[1, 2]).await;
    server.backend.0.forget();
    server.hold(SERVICE, &[3]).await;
    running.until_known(&[1, 2, 3]).await;
    assert_eq!(provider_errors(), 0, "the connection stood");
    running.until_known(&[3]).await;
}

#[tokio::test]
async fn an_instance_whose_heartbeat_lapsed_is_there_but_not_ready() {
    let server = fake();
    let body = json!({
        "ID": id(SERVICE, 1), "Name": SERVICE, "Address": host(1), "Port": PORT, "Check": {
            "CheckID": format!("service:{}", id(SERVICE, 1)), "TTL": "2000ms", "Status": "passing",
            "DeregisterCriticalServiceAfter": "60s",
        },
    });
    server.put("register", body).await;
    let running = Running::start(&server.settings());
    let readiness = || Some(running.registry.statuses(SERVICE).first()?.0.readiness);
    until("it is ready", || readiness() == Some(Readiness::Ready)).await;
    until("it is not ready", || readiness() == Some(Readiness::NotReady)).await;
}

#[tokio::test]
async fn the_token_goes_along_and_one_without_an_address_is_at_its_node() {
    let server = fake();
    let body = json!({ "ID": "x", "Name": SERVICE, "Port": PORT });
    server.put("register", body).await;
    server.backend.0.want_token("of-a-test");
    let settings = DiscoverySettings { consul_token: "of-a-test".into(), ..server.settings() };
    let running = Running::start(&settings);
    running.until_known(&[250]).await;
}

#[tokio::test]
async fn a_registration_that_cannot_be_read_hides_no_other() {
    let mut server = fake();
    server.hold(SERVICE, &[1]).await;
    server.backend.0.add(json!({
        "Node": { "Address": host(7) }, "Checks": [],
        "Service": { "Service": SERVICE, "Address": host(7), "Port": 70_000 },
    }));
    let running = Running::start(&server.settings());
    running.until_known(&[1]).await;
    server.hold(SERVICE, &[1, 2]).await;
    running.until_known(&[1, 2]).await;
    assert_eq!(provider_errors(), 0);
}
