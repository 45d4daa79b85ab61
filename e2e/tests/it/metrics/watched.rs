//! The system, with a Prometheus that scrapes it, and a scenario that shows in every metric.

use std::path::Path;

use reqwest::{Method, Url};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::native::{Prometheus, ServerOptions};
use testkit::{Proxy, ServiceProcess, config_dir, eventually};

use crate::calls::metric;
use crate::faults::dead_letters::publish;
use crate::system::{Fixture, System};

pub(super) const SERVICES: [&str; 3] = ["notification-service", "payment-service", "user-service"];

/// The system under observation.
pub(super) struct Watched {
    pub(super) system: System,
    /// Between payment-service and user-service.
    wire: Proxy,
    vhost: String,
    prometheus: Prometheus,
    http: reqwest::Client,
    _settings: TempDir,
}

impl Watched {
    /// Starts all of it; when this returns, each service was scraped.
    pub(super) async fn start() -> Self {
        let fixture = Fixture::set_up().await;
        let users = fixture.environment(0);
        let vhost = fixture.broker.vhost.clone();
        let mut wire = None;
        let through_the_wire = async |users: &ServiceProcess| {
            let proxy = wire.insert(Proxy::start(format!("127.0.0.1:{}", users.port())).await);
            [("USER_SERVICE_PORT".to_owned(), proxy.port().to_string())].into()
        };
        let system = fixture.start_with(users, through_the_wire).await;
        let settings = settings(&[&system.users, &system.payments, &system.notifications]);
        let file = settings.path().join("prometheus.yml");
        let prometheus = Prometheus::start(&ServerOptions::temporary().unwrap(), &file).unwrap();
        let wire = wire.unwrap();
        let http = reqwest::Client::new();
        let watched = Self { system, wire, vhost, prometheus, http, _settings: settings };
        watched.until(&format!("count(up == 1) == {}", SERVICES.len())).await;
        watched
    }

    /// Two users, each with mails, a payment, a decline and a profile that comes from the cache; a
    /// message that nobody understands; and in the end calls that fail until a breaker opens.
    pub(super) async fn walk_the_scenario(&self) {
        for number in 0..2 {
            self.tell_of_a_user(number).await;
            // The second is an increase of what the first began.
            self.until_scraped().await;
        }
        let body = json!({"event_type": "user.promoted", "data": {},
            "timestamp": "2026-01-15T09:30:00Z", "service": "somebody"});
        publish(&self.vhost, "payment-service.events", &body).await;
        self.until("max(messaging_dead_letters) == 1").await;

        let user = self.system.new_user().await;
        self.wire.cut().await;
        let mut number = 0;
        eventually("the breaker opens", async || {
            number += 1;
            self.system.pay(&user.token, &format!("in-vain-{number}"), "pm_card_visa").await;
            let state =
                metric(&self.system.payments, "circuit_breaker_state{service=\"user-service\"}");
            (state.await == 2).then_some(())
        })
        .await;
        self.wire.restore().await;
        self.until("max(circuit_breaker_state) == 2").await;
        self.until_scraped().await;
    }

    async fn tell_of_a_user(&self, number: u32) {
        let system = &self.system;
        let user = system.new_user().await;
        system.until_sent(&user.token, "welcome").await;
        let paid = format!("paid-{number}");
        let declined = format!("declined-{number}");
        assert_eq!(system.pay(&user.token, &paid, "pm_card_visa").await.status(), 201);
        let card = "pm_card_visa_chargeDeclined";
        assert_eq!(system.pay(&user.token, &declined, card).await.status(), 201);
        system.until_sent(&user.token, "payment_receipt").await;
        system.until_sent(&user.token, "payment_failure").await;
        let profile = system.users.url(&format!("/api/users/{}", user.id));
        system.get(&profile, &user.token).await;
        let missing = system.request(Method::GET, &system.users.url("/api/no-such-thing"));
        assert_eq!(missing.send().await.unwrap().status(), 404);
    }

    /// Waits until Prometheus has everything that there is now: two scrapes of each service, of
    /// which the second began after this call.
    async fn until_scraped(&self) {
        let scrapes = "min(count_over_time(up[10m]))";
        let now = self.number(scrapes).await.unwrap();
        self.until(&format!("{scrapes} >= {now} + 2")).await;
    }

    /// Waits until an expression gives something.
    pub(super) async fn until(&self, expression: &str) {
        eventually(expression, async || self.number(expression).await).await;
    }

    async fn number(&self, expression: &str) -> Option<f64> {
        let found = self.query(expression).await;
        found.first().and_then(|sample| sample["value"][1].as_str()?.parse().ok())
    }

    /// What an expression gives now: a sample for each series.
    pub(super) async fn query(&self, expression: &str) -> Vec<Value> {
        let found = self.ask("query", &[("query", expression)]).await;
        found["result"].as_array().unwrap().clone()
    }

    /// Asks the HTTP API. An error fails the test.
    pub(super) async fn ask(&self, what: &str, parameters: &[(&str, &str)]) -> Value {
        let url = format!("{}/api/v1/{what}", self.prometheus.url());
        let url = Url::parse_with_params(&url, parameters).unwrap();
        let answer: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["status"], "success", "{what} {parameters:?}: {answer}");
        answer["data"].clone()
    }
}

/// The settings that are shipped, in a folder of their own: with the addresses of these processes,
/// and intervals for which a test can wait.
fn settings(services: &[&ServiceProcess]) -> TempDir {
    let shipped = config_dir().join("observability");
    let folder = tempfile::tempdir().unwrap();
    let mut text = std::fs::read_to_string(shipped.join("prometheus.yml")).unwrap();
    let mut replace = |piece: &str, by: &str| {
        assert_eq!(text.matches(piece).count(), 1, "{piece} in\n{text}");
        text = text.replace(piece, by);
    };
    replace("scrape_interval: 15s", "scrape_interval: 1s");
    replace("scrape_timeout: 5s", "scrape_timeout: 1s");
    replace("evaluation_interval: 15s", "evaluation_interval: 1s");
    // What is shipped may know of services that do not run here.
    let runs = |line: &&str| {
        !line.contains("targets:") || services.iter().any(|it| line.contains(it.name()))
    };
    text = text.lines().filter(runs).collect::<Vec<_>>().join("\n");
    for service in services {
        let (_, rest) = text.split_once(&format!("\"{}:", service.name())).unwrap();
        let (port, _) = rest.split_once('"').unwrap();
        let shipped = format!("{}:{port}", service.name());
        text = text.replace(&shipped, &format!("127.0.0.1:{}", service.port()));
    }
    std::fs::write(folder.path().join("prometheus.yml"), text).unwrap();
    copy(&shipped.join("rules"), &folder.path().join("rules"));
    folder
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let file = entry.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}
