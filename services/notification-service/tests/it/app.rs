//! A notification service in this process, on servers of its own.

use std::ops::Deref;

use auth::Role;
use notification_service::NotificationService;
use serde_json::{Value, json};
use sqlx::PgPool;
use tempfile::TempDir;
use testkit::{Instance, Plain, TestBroker, TestDatabase, eventually};
use uuid::Uuid;

/// The servers and the folder of mails of one test.
pub(crate) struct Fixture {
    pub(crate) database: TestDatabase,
    pub(crate) broker: TestBroker,
    pub(crate) mails: TempDir,
    variables: Vec<(&'static str, String)>,
}

pub(crate) struct TestApp {
    pub(crate) fixture: Fixture,
    pub(crate) plain: Plain,
    pub(crate) pool: PgPool,
    instance: Instance,
}

/// A user with an address and a token.
pub(crate) struct Person {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) token: String,
}

impl Fixture {
    pub(crate) async fn set_up(variables: &[(&'static str, &str)]) -> Self {
        let (database, broker) =
            tokio::join!(testkit::database("notification_service"), testkit::broker());
        let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let mails = tempfile::tempdir().unwrap();
        Self { database, broker, mails, variables: variables.collect() }
    }

    pub(crate) async fn start(&self) -> Instance {
        let vars = testkit::vars(&self.database, &self.broker)
            .with("MAIL_DIR", self.mails.path().display().to_string())
            .with("WORKER_POLL_INTERVAL", "50ms")
            .with_all(self.variables.iter().cloned());
        Instance::start::<NotificationService>(vars).await
    }
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(variables: &[(&'static str, &str)]) -> Self {
        let fixture = Fixture::set_up(variables).await;
        let instance = fixture.start().await;
        instance.subscribed().await;
        let pool = fixture.database.pool().await;
        let plain = Plain::connect(&fixture.broker).await;
        Self { fixture, plain, pool, instance }
    }

    /// The instance ends in order.
    pub(crate) async fn stop(&mut self) {
        self.instance.stop().await;
    }

    /// The instance ends as a crash does: nothing that was under way is finished.
    pub(crate) async fn crash(&mut self) {
        self.instance.crash().await;
    }

    /// Another instance takes the place of the one that ended.
    pub(crate) async fn restart(&mut self) {
        self.instance = self.fixture.start().await;
    }

    pub(crate) fn person(&self) -> Person {
        let id = Uuid::now_v7();
        Person {
            id,
            email: format!("{}@example.com", id.simple()),
            token: self.user_token(id, Role::User),
        }
    }

    /// A token with which payment-service comes here.
    pub(crate) fn payment_service(&self) -> String {
        self.service_token("payment-service", "notification-service")
    }

    /// Publishes what happened; `second` orders events in time.
    pub(crate) async fn happened(&self, event_type: &str, data: &Value, second: u32) {
        let timestamp = format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60);
        self.plain.publish_at(event_type, data, &timestamp).await;
    }

    pub(crate) async fn user_created(&self, user: Uuid, email: &str, name: &str) {
        let data = json!({"user_id": user, "email": email, "name": name});
        self.happened("user.created", &data, 1).await;
    }

    pub(crate) async fn paid(&self, user: Uuid, payment: Uuid) {
        let data = json!({
            "payment_id": payment, "user_id": user, "amount": 1999, "currency": "EUR",
        });
        self.happened("payment.completed", &data, 2).await;
    }

    /// The person's notifications, newest first.
    pub(crate) async fn list(&self, person: &Person) -> Vec<Value> {
        let page = self.get("/api/notifications?limit=100", &person.token).await;
        let page: Value = page.json().await.unwrap();
        page["items"].as_array().unwrap().clone()
    }

    /// The person's one notification of a kind once it has a status.
    pub(crate) async fn until(&self, person: &Person, kind: &str, status: &str) -> Value {
        eventually(&format!("{kind} is {status}"), async || {
            let all = self.list(person).await;
            all.into_iter().find(|item| item["kind"] == kind && item["status"] == status)
        })
        .await
    }

    /// Waits until so many messages have had their effect.
    pub(crate) async fn until_handled(&self, messages: i64) {
        eventually(&format!("{messages} messages are handled"), async || {
            let handled = self.count("select count(*) from messaging_inbox").await;
            (handled >= messages).then_some(())
        })
        .await;
    }

    /// Waits until an attempt to write to the person has failed, to be repeated after a delay.
    pub(crate) async fn until_put_off(&self, person: &Person) {
        let query = "select next_attempt_at >= updated_at + interval '5 seconds' from notifications
                     where user_id = $1 and status = 'pending' and attempts = 1 and version = 2";
        let put_off = async || {
            let found = sqlx::query_scalar(query).bind(person.id).fetch_optional(&self.pool);
            found.await.unwrap()
        };
        assert!(eventually::<bool>("an attempt has failed", put_off).await);
    }

    /// Ends the delays of all that is put off.
    pub(crate) async fn make_due(&self) {
        let query = "update notifications set next_attempt_at = now() where status = 'pending'";
        sqlx::query(query).execute(&self.pool).await.unwrap();
    }

    /// Once the instances have ended: every message was settled, none put off or dead-lettered.
    pub(crate) async fn assert_nothing_waits(&self) {
        for end in ["", ".retry.1000", ".dead-letters"] {
            let queue = format!("notification-service.events{end}");
            assert_eq!(self.plain.waiting(&queue).await, 0, "{queue}");
        }
    }

    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap()
    }

    /// A registered person who was welcomed.
    pub(crate) async fn welcomed(&self) -> Person {
        let person = self.person();
        self.user_created(person.id, &person.email, "Ada").await;
        self.until(&person, "welcome", "sent").await;
        person
    }

    /// One notification: its id, and the token of whose it is.
    pub(crate) async fn one(&self) -> (String, String) {
        let person = self.welcomed().await;
        let welcome = self.list(&person).await.remove(0);
        (welcome["notification_id"].as_str().unwrap().to_owned(), person.token)
    }

    /// The mails in the folder.
    pub(crate) fn mails(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.fixture.mails.path()).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let mails = paths.filter(|path| path.extension().is_some_and(|end| end == "eml"));
        mails.map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }

    pub(crate) fn mails_to(&self, email: &str) -> Vec<String> {
        let to = format!("To: {email}\r\n");
        self.mails().into_iter().filter(|mail| mail.contains(&to)).collect()
    }
}

impl Deref for TestApp {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

/// A mail's header of this name; it must be there, once.
pub(crate) fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    let (headers, _) = mail.split_once("\r\n\r\n").unwrap();
    let lines = headers.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let found: Vec<&str> = lines.collect();
    assert_eq!(found.len(), 1, "{name} in {headers}");
    found[0]
}
