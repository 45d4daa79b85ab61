//! A user service in this process, on servers of its own.

use std::ops::Deref;

use auth::Role;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use testkit::{Instance, Plain, TestBroker, TestDatabase};
use user_service::UserService;
use uuid::Uuid;

pub(crate) struct TestApp {
    pub(crate) database: TestDatabase,
    pub(crate) plain: Plain,
    instance: Instance,
    broker: TestBroker,
}

/// A registered user who is signed in.
pub(crate) struct Signed {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
}

pub(crate) const PASSWORD: &str = "correct horse battery";

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(variables: &[(&'static str, &str)]) -> Self {
        let (database, broker) = tokio::join!(testkit::database("user_service"), testkit::broker());
        let mut vars = testkit::vars(&database, &broker);
        for (name, value) in variables {
            vars = vars.with(*name, (*value).to_owned());
        }
        let instance = Instance::start::<UserService>(vars).await;
        let plain = Plain::connect(&broker).await;
        Self { database, plain, instance, broker }
    }

    /// The variables that it runs with, but for those that a test sets.
    pub(crate) fn vars(&self) -> tusk_config::Vars {
        testkit::vars(&self.database, &self.broker)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        self.request(Method::POST, path).json(body).send().await.unwrap()
    }

    pub(crate) async fn patch(
        &self,
        path: &str,
        token: &str,
        etag: &str,
        body: &Value,
    ) -> Response {
        let request = self.request(Method::PATCH, path).bearer_auth(token);
        request.header("if-match", etag).json(body).send().await.unwrap()
    }

    pub(crate) async fn register(&self, email: &str) -> Response {
        let body = json!({"email": email, "name": "Ada", "password": PASSWORD});
        self.post("/api/users", &body).await
    }

    pub(crate) async fn sign_in(&self, email: &str, password: &str) -> Response {
        self.post("/api/sessions", &json!({"email": email, "password": password})).await
    }

    /// Registers and signs in somebody whose address nobody else has.
    pub(crate) async fn somebody(&self) -> Signed {
        let email = format!("{}@example.com", Uuid::now_v7().simple());
        let user: Value = self.register(&email).await.json().await.unwrap();
        let session: Value = self.sign_in(&email, PASSWORD).await.json().await.unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Signed {
            id: text(&user["user_id"]),
            token: text(&session["access_token"]),
            refresh_token: text(&session["refresh_token"]),
            email,
        }
    }

    /// One user: its id, and its own token.
    pub(crate) async fn one(&self) -> (String, String) {
        let user = self.somebody().await;
        (user.id, user.token)
    }

    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        let pool = self.database.pool().await;
        sqlx::query_scalar(query).fetch_one(&pool).await.unwrap()
    }

    pub(crate) fn admin_token(&self) -> String {
        self.user_token(Uuid::now_v7(), Role::Admin)
    }
}

impl Deref for TestApp {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}
