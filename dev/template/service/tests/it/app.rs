//! The sample service in this process, on servers of its own.

use std::ops::Deref;

use auth::Role;
use reqwest::{Method, RequestBuilder};
use sample_service::SampleService;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::{Instance, Plain, TestBroker, TestDatabase, Users};
use uuid::Uuid;

pub(crate) struct TestApp {
    instance: Instance,
    pub(crate) plain: Plain,
    pub(crate) users: Users,
    pub(crate) pool: PgPool,
    _servers: (TestDatabase, TestBroker),
}

/// A user with a token.
pub(crate) struct Person {
    pub(crate) id: Uuid,
    pub(crate) token: String,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(variables: &[(&str, &str)]) -> Self {
        let (database, broker, users) =
            tokio::join!(testkit::database("sample_service"), testkit::broker(), Users::start());
        let vars = testkit::vars(&database, &broker)
            .with("USER_SERVICE_HOST", "127.0.0.1")
            .with("USER_SERVICE_PORT", users.port().to_string());
        // template: if template
        let config = testkit::config_with_template();
        let vars = vars
            .with("CONFIG_DIR", config.path().display().to_string())
            .with("SAMPLE_SERVICE_TOKEN", "test-only-sample-service-token");
        // template: end
        let vars = vars.with_all(variables.iter().copied());
        let instance = Instance::start::<SampleService>(vars).await;
        instance.subscribed().await;
        let plain = Plain::connect(&broker).await;
        let pool = database.pool().await;
        Self { instance, plain, users, pool, _servers: (database, broker) }
    }

    pub(crate) fn person(&self) -> Person {
        self.user(Role::User)
    }

    pub(crate) fn admin(&self) -> Person {
        self.user(Role::Admin)
    }

    fn user(&self, role: Role) -> Person {
        let id = Uuid::now_v7();
        Person { id, token: self.user_token(id, role) }
    }

    /// The request that makes one.
    pub(crate) fn making(&self, person: &Person, key: &str, title: &str) -> RequestBuilder {
        let request = self.request(Method::POST, "/api/samples");
        let request = request.bearer_auth(&person.token).header("idempotency-key", key);
        request.json(&json!({"title": title}))
    }

    /// One that was made, as it was shown then.
    pub(crate) async fn made(&self, person: &Person, title: &str) -> Value {
        let key = Uuid::now_v7().to_string();
        let made = self.making(person, &key, title).send().await.unwrap();
        assert_eq!(made.status(), 201);
        made.json().await.unwrap()
    }

    /// One sample: its id, and the token of whose it is.
    pub(crate) async fn one(&self) -> (String, String) {
        let person = self.person();
        let made = self.made(&person, "First").await;
        (made["sample_id"].as_str().unwrap().to_owned(), person.token)
    }

    /// What was made, as it is now.
    pub(crate) async fn shown(&self, made: &Value) -> Value {
        let path = format!("/api/samples/{}", made["sample_id"].as_str().unwrap());
        self.get(&path, &self.admin().token).await.json().await.unwrap()
    }

    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap()
    }

    pub(crate) async fn rows(&self) -> i64 {
        self.count("select count(*) from samples").await
    }

    /// Waits until so many messages have had their effect.
    pub(crate) async fn until_handled(&self, messages: i64) {
        testkit::eventually("the messages are handled", async || {
            let handled = self.count("select count(*) from messaging_inbox").await;
            (handled >= messages).then_some(())
        })
        .await;
    }
}

impl Deref for TestApp {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}
