//! Three service processes, a database each, one virtual host, the payment provider's simulator.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::Environment;
use testkit::simulator::Simulator;
use testkit::{ServiceProcess, TestBroker, TestDatabase, eventually};
use uuid::Uuid;

/// The services that the scenarios are about; more may be in services.tsk.
pub(crate) const THREE: [&str; 3] = ["user-service", "payment-service", "notification-service"];
pub(crate) const PASSWORD: &str = "correct horse battery";

/// The running system. Dropping it kills the processes and removes what the test made.
pub(crate) struct System {
    pub(crate) users: ServiceProcess,
    pub(crate) payments: ServiceProcess,
    pub(crate) notifications: ServiceProcess,
    pub(crate) simulator: Simulator,
    mails: TempDir,
    http: reqwest::Client,
    /// Sent with every request: one sampled trace per system.
    pub(crate) traceparent: String,
    _servers: (Vec<TestDatabase>, TestBroker),
}

/// The servers and settings of a system, before its processes start.
pub(crate) struct Fixture {
    pub(crate) databases: Vec<TestDatabase>,
    /// Of user-service, payment-service, notification-service.
    pub(crate) database_urls: Vec<String>,
    pub(crate) broker: TestBroker,
    pub(crate) simulator: Simulator,
    mails: TempDir,
    /// What stands in the environment of every service besides.
    pub(crate) settings: Vec<(&'static str, String)>,
}

/// A registered user who is signed in.
pub(crate) struct Signed {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) token: String,
}

impl Fixture {
    pub(crate) async fn set_up() -> Self {
        let (users, payments, notifications, broker) = tokio::join!(
            testkit::database("user_service"),
            testkit::database("payment_service"),
            testkit::database("notification_service"),
            testkit::broker(),
        );
        let databases = vec![users, payments, notifications];
        let database_urls = databases.iter().map(|database| database.url().to_owned()).collect();
        // The tests are such a proxy: each names one trace for all that it does.
        let settings = vec![("TRACING_PROXIES", "127.0.0.1".to_owned())];
        let simulator = Simulator::start().await;
        let mails = tempfile::tempdir().unwrap();
        Self { databases, database_urls, broker, simulator, mails, settings }
    }

    /// The variables of the service with this database.
    pub(crate) fn environment(&self, database: usize) -> Environment {
        let mut variables = testkit::environment(&self.databases[database], &self.broker);
        let mut set = |name: &str, value: String| variables.insert(name.to_owned(), value);
        set("DATABASE_URL", self.database_urls[database].clone());
        set("STRIPE_API_BASE", self.simulator.url());
        set("MAIL_DIR", self.mails.path().display().to_string());
        for (name, value) in &self.settings {
            set(name, value.clone());
        }
        variables
    }

    /// Starts the three services; `users` are the variables of user-service.
    pub(crate) async fn start(self, users: Environment) -> System {
        self.start_with(users, async |_| Environment::new()).await
    }

    /// [`start`](Self::start), with more variables of payment-service once the port of user-service
    /// is known.
    pub(crate) async fn start_with(
        self,
        users: Environment,
        more: impl AsyncFnOnce(&ServiceProcess) -> Environment,
    ) -> System {
        // Each calls others, which start after it.
        let ports = THREE.map(|_| testkit::ports::free_port());
        let places: Environment = THREE
            .iter()
            .zip(ports)
            .flat_map(|(name, port)| {
                let name = name.replace('-', "_").to_uppercase();
                let host = (format!("{name}_HOST"), "127.0.0.1".to_owned());
                [host, (format!("{name}_PORT"), port.to_string())]
            })
            .collect();
        let spawn = |index: usize, variables: &Environment| {
            let path = testkit::binary(THREE[index]);
            ServiceProcess::spawn_on(&path, variables, ports[index])
        };
        let caller = |index| {
            let mut variables = places.clone();
            variables.extend(self.environment(index));
            variables
        };
        let mut users = {
            let mut variables = places.clone();
            variables.extend(users);
            spawn(0, &variables)
        };
        let mut notifications = spawn(2, &caller(2));
        tokio::join!(users.wait_until_ready(), notifications.wait_until_ready());
        let mut payments = caller(1);
        // A killed process leaves its payments leased: for five seconds here, not for a minute.
        payments.insert("STRIPE_TIMEOUT".to_owned(), "1s".to_owned());
        payments.insert("WORKER_LEASE".to_owned(), "5s".to_owned());
        payments.extend(more(&users).await);
        let mut payments = spawn(1, &payments);
        payments.wait_until_ready().await;
        for service in [&users, &payments, &notifications] {
            until_subscribed(service).await;
        }
        let trace = Uuid::now_v7().simple();
        System {
            users,
            payments,
            notifications,
            simulator: self.simulator,
            mails: self.mails,
            http: client(),
            traceparent: format!("00-{trace}-00f067aa0ba902b7-01"),
            _servers: (self.databases, self.broker),
        }
    }
}

/// A copy of `config/` in which one text of one file is another.
pub(crate) fn config_with(file: &str, text: &str, other: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(testkit::config_dir()).unwrap() {
        let (from, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if from.is_file() {
            std::fs::copy(from, folder.path().join(name)).unwrap();
        }
    }
    let path = folder.path().join(file);
    let settings = std::fs::read_to_string(&path).unwrap();
    assert!(settings.contains(text), "{file} has no {text}");
    std::fs::write(&path, settings.replace(text, other)).unwrap();
    folder
}

/// Waits until the service's queue is bound: an event published before that would pass it by, as
/// on the very first start of a system.
async fn until_subscribed(service: &ServiceProcess) {
    eventually(&format!("{} is subscribed", service.name()), async || {
        let health = reqwest::get(service.management_url("/health")).await.ok()?;
        let health: Value = health.json().await.ok()?;
        (health["checks"]["rabbitmq"] == true).then_some(())
    })
    .await;
}

/// A token as `cargo dev token` gets it, with the variables of user-service.
pub(crate) fn token(users: &Environment, words: &[&str]) -> String {
    let mut command = Command::new(testkit::binary("user-service"));
    command.env_clear().envs(users).arg("token").args(words);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A token of an administrator.
pub(crate) fn administrator(users: &Environment) -> String {
    token(users, &["user", "--id", &Uuid::now_v7().to_string(), "--role", "admin"])
}

/// Keeps idle connections for less than the services do ([server] `idle_timeout`): what takes long would
/// send on one that is closed at that moment.
fn client() -> reqwest::Client {
    reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(30)).build().unwrap()
}

/// What an authenticator app shows of a secret so many steps of thirty seconds from now: as an app computes
/// it (RFC 6238), without our own code.
pub(crate) fn code_of_app(secret: &str, steps: i64) -> String {
    let mut bits = 0_u64;
    let mut key = Vec::new();
    for (place, letter) in secret.bytes().enumerate() {
        let value = if letter < b'A' { letter - b'2' + 26 } else { letter - b'A' };
        bits = bits << 5 | u64::from(value);
        if place % 8 == 7 {
            key.extend_from_slice(&bits.to_be_bytes()[3..]);
        }
    }
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let step = i64::try_from(passed / 30).unwrap() + steps;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let place = usize::from(tag.as_ref()[19] & 15);
    let number = u32::from_be_bytes(tag.as_ref()[place..place + 4].try_into().unwrap());
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}

impl System {
    pub(crate) async fn start() -> Self {
        let fixture = Fixture::set_up().await;
        let users = fixture.environment(0);
        fixture.start(users).await
    }

    pub(crate) fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url).header("traceparent", &self.traceparent)
    }

    pub(crate) async fn get(&self, url: &str, token: &str) -> Value {
        let answer = self.request(Method::GET, url).bearer_auth(token).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// Asks user-service for something as the bearer of a token; it must be done.
    pub(crate) async fn ask(&self, method: Method, path: &str, token: &str, body: &Value) -> Value {
        let request = self.request(method, &self.users.url(path)).bearer_auth(token).json(body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Registers a user and signs in.
    pub(crate) async fn new_user(&self) -> Signed {
        let email = format!("{}@example.com", Uuid::now_v7().simple());
        let body = json!({"email": email, "name": "Ada", "password": PASSWORD});
        let request = self.request(Method::POST, &self.users.url("/api/users")).json(&body);
        let user: Value = request.send().await.unwrap().json().await.unwrap();
        let id = user["user_id"].as_str().unwrap().to_owned();
        let token = self.sign_in(&email).await;
        Signed { id, email, token }
    }

    pub(crate) async fn sign_in(&self, email: &str) -> String {
        let body = json!({"email": email, "password": PASSWORD});
        let request = self.request(Method::POST, &self.users.url("/api/sessions")).json(&body);
        let session: Value = request.send().await.unwrap().json().await.unwrap();
        session["access_token"].as_str().unwrap().to_owned()
    }

    /// Pays; gives the answer whatever it is.
    pub(crate) async fn pay(&self, token: &str, key: &str, method: &str) -> reqwest::Response {
        self.pay_money(token, key, method, (1999, "EUR")).await
    }

    /// Pays so many minor units of a currency; gives the answer whatever it is.
    pub(crate) async fn pay_money(
        &self,
        token: &str,
        key: &str,
        method: &str,
        (amount, currency): (i64, &str),
    ) -> reqwest::Response {
        let body = json!({"amount": amount, "currency": currency, "payment_method": method});
        let request = self.request(Method::POST, &self.payments.url("/api/payments"));
        let request = request.bearer_auth(token).header("idempotency-key", key).json(&body);
        request.send().await.unwrap()
    }

    /// The user's notifications of a kind that are sent.
    pub(crate) async fn sent(&self, token: &str, kind: &str) -> Vec<Value> {
        let page = self.get(&self.notifications.url("/api/notifications?limit=100"), token).await;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        items.into_iter().filter(|item| item["kind"] == kind && item["status"] == "sent").collect()
    }

    /// Waits until a notification of a kind is sent.
    pub(crate) async fn until_sent(&self, token: &str, kind: &str) -> Value {
        eventually(&format!("a notification {kind} is sent"), async || {
            self.sent(token, kind).await.pop()
        })
        .await
    }

    /// The token of the one mail to an address whose link leads to this page.
    pub(crate) fn mailed_token(&self, address: &str, page: &str) -> String {
        let begin = format!("/{page}#token=");
        let mails = self.mails_to(address).into_iter();
        let tokens = mails.filter_map(|mail| Some(mail.split_once(&begin)?.1[..43].to_owned()));
        let mut tokens: Vec<String> = tokens.collect();
        assert_eq!(tokens.len(), 1, "links to {page}");
        tokens.remove(0)
    }

    /// Shows user-service what came by mail.
    pub(crate) async fn complete(&self, what: &str, body: &Value) {
        let url = self.users.url(&format!("/api/{what}/complete"));
        let answer = self.request(Method::POST, &url).json(body).send().await.unwrap();
        assert_eq!(answer.status(), 204, "{what}: {}", answer.text().await.unwrap());
    }

    /// The mails to an address, as they would have gone out.
    pub(crate) fn mails_to(&self, address: &str) -> Vec<String> {
        let files = std::fs::read_dir(self.mails.path()).unwrap();
        let paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        let mails = paths.iter().filter(|path| path.extension().is_some_and(|end| end == "eml"));
        let texts = mails.map(|path| std::fs::read_to_string(path).unwrap());
        texts
            .filter(|mail| {
                mail.contains(&format!("To: {address}"))
                    || mail.lines().any(|line| line.starts_with("To: ") && line.contains(address))
            })
            .collect()
    }
}

/// Variables with which the routes of the external issuer are there, though it is not: what would ask it is 503.
pub(crate) fn without_an_issuer_to_ask() -> [(String, String); 3] {
    [
        ("EXTERNAL_ISSUER_URL", "http://127.0.0.1:1"),
        ("EXTERNAL_ISSUER_CLIENT_ID", "tusk"),
        ("EXTERNAL_ISSUER_REDIRECT_URI", "https://app.example.com/back"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
}
