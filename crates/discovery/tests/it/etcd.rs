//! `etcd`, against the distribution's own server in processes that are really stopped and killed.

mod fake;

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use discovery::{Discovery, DiscoverySettings, ProviderType};
use serde_json::{Value, json};
use testkit::native::{Etcd, ServerOptions};
use tokio_util::sync::CancellationToken;

use crate::conformance::{RegistrationServer, Server, conforms, discovery, registers};
use crate::support::{
    OTHER, PORT, Running, SERVICE, client, host, number, provider_errors, services, settings,
    unchecked, until, until_broken,
};
use fake::Cluster;

const FOLDER: &str = "/services/user-service/";

struct Server3 {
    etcd: Etcd,
    /// Another member of its cluster.
    other: Option<Etcd>,
    http: reqwest::Client,
}

impl Server3 {
    fn start() -> Self {
        Self::of(Etcd::start(&ServerOptions::temporary().unwrap()).unwrap())
    }

    fn of(etcd: Etcd) -> Self {
        Self { etcd, other: None, http: client() }
    }

    fn settings(&self) -> DiscoverySettings {
        let members = std::iter::once(&self.etcd).chain(&self.other);
        let etcd_endpoints = members.map(Etcd::url).collect();
        DiscoverySettings { etcd_endpoints, ..settings(ProviderType::Etcd) }
    }

    async fn ask(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/v3/{path}", self.etcd.url());
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    async fn put(&self, service: &str, number: u8) {
        let key = base64(&key(service, number));
        let value = json!({ "host": host(number), "port": PORT }).to_string();
        self.ask("kv/put", json!({ "key": key, "value": base64(&value) })).await;
    }

    async fn delete(&self, service: &str, number: u8) {
        self.ask("kv/deleterange", json!({ "key": base64(&key(service, number)) })).await;
    }

    async fn all(&self) -> Value {
        let end = base64("/services/user-service0");
        self.ask("kv/range", json!({ "key": base64(FOLDER), "range_end": end })).await
    }

    /// Makes the server forget all revisions but the newest.
    async fn compact(&self) {
        let revision = self.all().await["header"]["revision"].clone();
        self.ask("kv/compaction", json!({ "revision": revision, "physical": true })).await;
    }
}

fn key(service: &str, number: u8) -> String {
    format!("/services/{service}/{}:{PORT}", host(number))
}

fn base64(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

impl Server for Server3 {
    fn discovery(&self) -> Discovery {
        discovery(&self.settings())
    }

    async fn hold(&mut self, service: &str, numbers: &[u8]) {
        for number in 1..=6 {
            if numbers.contains(&number) {
                self.put(service, number).await;
            } else {
                self.delete(service, number).await;
            }
        }
    }

    async fn go_down(&mut self) {
        self.etcd.kill().unwrap();
    }

    async fn come_back(&mut self) {
        self.etcd.start_again().unwrap();
    }

    async fn freeze(&mut self) {
        self.etcd.freeze().unwrap();
    }

    async fn run_on(&mut self) {
        self.etcd.cont().unwrap();
    }
}

impl RegistrationServer for Server3 {
    async fn registered(&self) -> BTreeSet<u8> {
        let all = self.all().await;
        let keys = all["kvs"].as_array().into_iter().flatten().map(|kv| &kv["key"]);
        keys.map(|key| {
            let key = BASE64_STANDARD.decode(key.as_str().unwrap()).unwrap();
            let key = String::from_utf8(key).unwrap();
            number(key.strip_prefix(FOLDER).unwrap().strip_suffix(":3001").unwrap())
        })
        .collect()
    }

    /// Its leases are gone, and with them their keys.
    async fn forget(&mut self) {
        let leases = self.ask("lease/leases", json!({})).await;
        for lease in leases["leases"].as_array().into_iter().flatten() {
            let url = format!("{}/v3/lease/revoke", self.etcd.url());
            let id = &lease["ID"];
            let answer = self.http.post(url).json(&json!({ "ID": id })).send().await.unwrap();
            // One that has lapsed since it was listed is gone as well.
            let gone = answer.status().is_success() || answer.status() == 404;
            assert!(gone, "lease/revoke: {}", answer.text().await.unwrap());
        }
    }
}

#[tokio::test]
async fn etcd_conforms() {
    conforms(&mut Server3::start()).await;
}

/// Without one of the two there is no leader.
#[tokio::test]
async fn an_etcd_of_two_members_conforms() {
    let options = [ServerOptions::temporary().unwrap(), ServerOptions::temporary().unwrap()];
    let [first, second] = Etcd::start_pair(&options).unwrap();
    conforms(&mut Server3 { other: Some(second), ..Server3::of(first) }).await;
}

#[tokio::test]
async fn a_process_is_registered_with_etcd_until_it_drains() {
    registers(&mut Server3::start()).await;
}

#[tokio::test]
async fn deletions_that_were_compacted_away_are_found() {
    let mut server = Server3::start();
    server.hold(SERVICE, &[1, 2]).await;
    let running = Running::start(&server.settings());
    running.until_known(&[1, 2]).await;
    // While the watcher is away, one instance goes and the history of that too.
    server.go_down().await;
    until_broken(provider_errors()).await;
    server.come_back().await;
    server.hold(SERVICE, &[2]).await;
    server.compact().await;
    running.until_known(&[2]).await;
}

#[tokio::test]
async fn a_lost_lease_is_granted_anew_and_a_lost_key_is_put_again() {
    let mut server = Server3::start();
    let draining = CancellationToken::new();
    let registration = server.discovery().registration(SERVICE, PORT, "1.0.0");
    let kept = tokio::spawn(registration.run(draining.clone()));
    until_registered(&server).await;
    server.delete(SERVICE, 9).await;
    until_registered(&server).await;
    // Frozen for longer than the lease lives: it lapses as soon as the server runs on.
    server.etcd.freeze().unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    server.etcd.cont().unwrap();
    server.forget().await;
    until_registered(&server).await;
    draining.cancel();
    kept.await.unwrap().unwrap();
    assert_eq!(server.registered().await, BTreeSet::new());
}

async fn until_registered(server: &Server3) {
    while server.registered().await != BTreeSet::from([9]) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_etcd_that_comes_back_without_its_data_loses_instances_only_after_a_while() {
    let mut server = Server3::start();
    server.hold(SERVICE, &[1, 2]).await;
    let settings = DiscoverySettings { removal_grace: Duration::from_secs(3), ..server.settings() };
    let running = Running::start(&settings);
    running.until_known(&[1, 2]).await;
    let before = provider_errors();
    server.go_down().await;
    until_broken(before).await;
    server.etcd.start_empty().unwrap();
    server.hold(SERVICE, &[3]).await;
    running.until_known(&[1, 2, 3]).await;
    running.until_known(&[3]).await;
}

#[tokio::test]
async fn an_etcd_without_a_leader_is_noticed_and_changes_nothing() {
    let options = [ServerOptions::temporary().unwrap(), ServerOptions::temporary().unwrap()];
    let [first, mut second] = Etcd::start_pair(&options).unwrap();
    let mut server = Server3::of(first);
    server.hold(SERVICE, &[1]).await;
    let running = Running::start(&server.settings());
    running.until_known(&[1]).await;
    let before = provider_errors();
    second.kill().unwrap();
    until_broken(before).await;
    assert_eq!(running.known(), BTreeSet::from([1]));
    second.start_again().unwrap();
    server.hold(SERVICE, &[1, 2]).await;
    running.until_known(&[1, 2]).await;
}

#[tokio::test]
async fn the_next_member_is_asked_when_one_is_away() {
    let mut server = Server3::start();
    server.hold(SERVICE, &[1]).await;
    let nobody = format!("http://127.0.0.1:{}", testkit::native::port::free(None));
    let etcd_endpoints = vec![nobody, server.etcd.url()];
    let running = Running::start(&DiscoverySettings { etcd_endpoints, ..server.settings() });
    running.until_known(&[1]).await;
}

fn both_services(etcd_endpoints: Vec<String>) -> Running {
    let services = services("localhost", PORT);
    let settings = DiscoverySettings { etcd_endpoints, ..settings(ProviderType::Etcd) };
    Running::of(Discovery::new(&settings, &services, &unchecked(), &[SERVICE, OTHER]).unwrap())
}

#[tokio::test]
async fn a_watch_leaves_a_member_that_froze_while_the_others_are_at_another_one() {
    let cluster = Cluster::start();
    let put = |service: &str, number: u8| {
        let value = json!({ "host": host(number), "port": PORT });
        cluster.put(&format!("/services/{service}/{}:{PORT}", host(number)), &value);
    };
    put(SERVICE, 1);
    put(OTHER, 1);
    // The refusal sends the other service's watch to the second member.
    cluster.hold_back("/services/other-service/", FOLDER);
    let running = both_services(cluster.urls());
    running.until_known(&[1]).await;
    until("the other service is watched", || {
        cluster.watched_at("/services/other-service/").is_some()
    })
    .await;
    let watched_at = cluster.watched_at(FOLDER).unwrap();
    assert_ne!(cluster.watched_at("/services/other-service/"), Some(watched_at));
    cluster.freeze(watched_at);
    put(SERVICE, 2);
    running.until_known(&[1, 2]).await;
}

#[tokio::test]
async fn a_watch_that_says_nothing_is_left_though_its_server_answers() {
    let cluster = Cluster::start();
    let key = |number: u8| format!("{FOLDER}{}:{PORT}", host(number));
    let value = |number: u8| json!({ "host": host(number), "port": PORT });
    cluster.put(&key(1), &value(1));
    let settings =
        DiscoverySettings { etcd_endpoints: cluster.urls(), ..settings(ProviderType::Etcd) };
    let running = Running::start(&settings);
    running.until_known(&[1]).await;
    cluster.deafen();
    cluster.put(&key(2), &value(2));
    running.until_known(&[1, 2]).await;
    cluster.remove(&key(1));
    running.until_known(&[2]).await;
}
