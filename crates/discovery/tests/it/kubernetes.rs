//! `kubernetes`, against an API server built to the contract of lists and watches.

mod fake;

use std::collections::BTreeSet;
use std::time::Duration;

use discovery::{Discovery, DiscoverySettings, ProviderType, Readiness};
use serde_json::json;

use crate::conformance::{Server, conforms, discovery};
use crate::support::{
    Hosted, PORT, Running, SERVICE, host, provider_errors, settings, until, until_broken,
};
use fake::Api;

struct Cluster {
    api: Api,
    hosted: Hosted,
    account: tempfile::TempDir,
}

impl Cluster {
    fn start() -> Self {
        let api = Api::default();
        let hosted = Hosted::start(api.router());
        let account = tempfile::tempdir().unwrap();
        std::fs::write(account.path().join("namespace"), "shop\n").unwrap();
        std::fs::write(account.path().join("token"), "first\n").unwrap();
        Self { api, hosted, account }
    }

    fn settings(&self) -> DiscoverySettings {
        DiscoverySettings {
            kubernetes_url: self.hosted.url(),
            kubernetes_account_dir: self.account.path().display().to_string(),
            ..settings(ProviderType::Kubernetes)
        }
    }

    /// One slice with these instances.
    fn slice(&self, name: &str, numbers: &[u8]) {
        self.slice_of(SERVICE, name, numbers);
    }

    fn slice_of(&self, service: &str, name: &str, numbers: &[u8]) {
        let endpoint = |number: &u8| json!({ "addresses": [host(*number)], "conditions": {} });
        let endpoints = numbers.iter().map(endpoint).collect::<Vec<_>>();
        self.api.put_of(service, name, json!(endpoints));
    }
}

impl Server for Cluster {
    fn discovery(&self) -> Discovery {
        discovery(&self.settings())
    }

    async fn hold(&mut self, service: &str, numbers: &[u8]) {
        self.slice_of(service, &format!("{service}-abc"), numbers);
    }

    async fn go_down(&mut self) {
        self.hosted.go_down();
    }

    async fn come_back(&mut self) {
        self.hosted.come_back();
    }

    async fn freeze(&mut self) {
        self.api.hang(true);
    }

    async fn run_on(&mut self) {
        self.api.hang(false);
    }
}

#[tokio::test]
async fn kubernetes_conforms() {
    conforms(&mut Cluster::start()).await;
}

#[tokio::test]
async fn slices_of_a_service_are_one_set_and_an_address_counts_once() {
    let cluster = Cluster::start();
    cluster.slice("a", &[1, 2]);
    cluster.slice("b", &[2, 3]);
    let running = Running::start(&cluster.settings());
    running.until_known(&[1, 2, 3]).await;
    assert_eq!(running.registry.statuses(SERVICE).len(), 3);
    cluster.api.delete("a");
    running.until_known(&[2, 3]).await;
    // No endpoints at all is `null` on the wire.
    cluster.api.put("b", json!(null));
    running.until_known(&[]).await;
}

#[tokio::test]
async fn conditions_say_who_takes_calls() {
    let cluster = Cluster::start();
    let endpoint = |number, conditions| json!({ "addresses": [host(number)], "conditions": conditions, "zone": "a" });
    cluster.api.put(
        "a",
        json!([
            endpoint(1, json!({ "ready": null })),
            endpoint(2, json!({ "ready": true, "serving": true, "terminating": false })),
            endpoint(3, json!({ "ready": false, "serving": true, "terminating": true })),
            endpoint(4, json!({ "ready": false })),
        ]),
    );
    let running = Running::start(&cluster.settings());
    running.until_known(&[1, 2, 3, 4]).await;
    let statuses = running.registry.statuses(SERVICE);
    let standings: Vec<_> = statuses.iter().map(|(instance, _)| instance.readiness).collect();
    let ready = Readiness::Ready;
    assert_eq!(standings, [ready, ready, Readiness::Draining, Readiness::NotReady]);
    assert!(statuses.iter().all(|(instance, _)| instance.port == PORT));
    assert!(statuses.iter().all(|(instance, _)| instance.zone.as_deref() == Some("a")));
}

#[tokio::test]
async fn a_version_that_is_gone_is_listed_anew_and_deletions_are_found() {
    for is_status in [true, false] {
        let cluster = Cluster::start();
        cluster.api.say_gone_by_status(is_status);
        cluster.slice("a", &[1]);
        cluster.slice("b", &[2]);
        let running = Running::start(&cluster.settings());
        running.until_known(&[1, 2]).await;
        let before = cluster.api.lists();
        cluster.api.stop_watches();
        cluster.api.delete("a");
        cluster.api.forget_history();
        cluster.api.allow_watches();
        running.until_known(&[2]).await;
        assert!(cluster.api.lists() > before);
    }
    assert_eq!(provider_errors(), 0, "gone is no error");
}

#[tokio::test]
async fn a_bookmark_moves_the_version_so_that_nothing_is_listed_anew() {
    let cluster = Cluster::start();
    cluster.slice("a", &[1]);
    let running = Running::start(&cluster.settings());
    running.until_known(&[1]).await;
    let watches = cluster.api.watches();
    cluster.api.bookmark();
    until("the watch ended and began twice", || cluster.api.watches() > watches + 1).await;
    cluster.api.forget_history();
    cluster.slice("a", &[1, 2]);
    running.until_known(&[1, 2]).await;
    assert_eq!(cluster.api.lists(), 1);
}

#[tokio::test]
async fn a_stream_that_is_cut_in_the_middle_of_a_line_loses_nothing() {
    let cluster = Cluster::start();
    cluster.slice("a", &[1]);
    let running = Running::start(&cluster.settings());
    running.until_known(&[1]).await;
    let before = provider_errors();
    cluster.api.cut_next();
    cluster.slice("a", &[1, 2]);
    until_broken(before).await;
    running.until_known(&[1, 2]).await;
}

#[tokio::test]
async fn the_token_is_read_anew_when_kubernetes_has_replaced_it() {
    let cluster = Cluster::start();
    cluster.slice("a", &[1]);
    let running = Running::start(&cluster.settings());
    running.until_known(&[1]).await;
    assert_eq!(cluster.api.token().as_deref(), Some("Bearer first"));
    std::fs::write(cluster.account.path().join("token"), "second").unwrap();
    until("the new token", || cluster.api.token().as_deref() == Some("Bearer second")).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(running.known(), BTreeSet::from([1]));
}

#[tokio::test]
async fn a_slice_that_cannot_be_read_hides_no_other() {
    let cluster = Cluster::start();
    cluster.slice("a", &[1]);
    cluster.api.put("odd", json!("no list"));
    let running = Running::start(&cluster.settings());
    running.until_known(&[1]).await;
    cluster.api.put("odd", json!("still none"));
    cluster.slice("a", &[1, 2]);
    running.until_known(&[1, 2]).await;
    assert_eq!(provider_errors(), 0);
}
