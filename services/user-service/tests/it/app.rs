//! A user service in this process, on servers of its own.

use std::ops::Deref;

use auth::{MailTokens, Role, ServiceSecret};
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
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
}

pub(crate) const PASSWORD: &str = "correct horse battery";
/// Argon2id of it, with 64 KiB and one pass.
pub(crate) const CHEAP: &str = "$argon2id$v=19$m=64,t=1,p=1$cS1W1/OxCo5D8pupw8mN6w$Vc4w5E3qz6cCV75Dc+jJdXkXazj0StTIbOfKlc21Ons";

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(variables: &[(&'static str, &str)]) -> Self {
        let (database, broker) = tokio::join!(testkit::database("user_service"), testkit::broker());
        let vars = testkit::vars(&database, &broker).with_all(variables.iter().copied());
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
    pub(crate) async fn new_user(&self) -> Signed {
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
        let user = self.new_user().await;
        (user.id, user.token)
    }

    pub(crate) async fn put(&self, path: &str, token: &str, body: &Value) -> Response {
        self.request(Method::PUT, path).bearer_auth(token).json(body).send().await.unwrap()
    }

    /// The tokens that were sent to a user for a purpose, the newest first, as the sender of mails makes
    /// them; waits for the first one.
    pub(crate) async fn mail_tokens(&self, user: &str, purpose: &str) -> Vec<String> {
        let pool = self.database.pool().await;
        let ids: Vec<Uuid> = testkit::eventually("a token is sent", async || {
            let ids = "select id from mail_tokens where user_id = $1::uuid and purpose = $2
                       order by id desc";
            let ids = sqlx::query_scalar(ids).bind(user).bind(purpose).fetch_all(&pool);
            Some(ids.await.unwrap()).filter(|ids: &Vec<Uuid>| !ids.is_empty())
        })
        .await;
        ids.into_iter().map(mail_token).collect()
    }

    /// The token of the newest mail to a user for a purpose.
    pub(crate) async fn mail_token(&self, user: &str, purpose: &str) -> String {
        self.mail_tokens(user, purpose).await.remove(0)
    }

    /// Asks to have this token, for a mail that proves an address, redeemed.
    pub(crate) async fn verify(&self, token: &str) -> Response {
        self.post("/api/email-verifications/complete", &json!({"token": token})).await
    }

    pub(crate) async fn me(&self, token: &str) -> Value {
        self.get("/api/users/me", token).await.json().await.unwrap()
    }

    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        let pool = self.database.pool().await;
        sqlx::query_scalar(query).fetch_one(&pool).await.unwrap()
    }

    /// Waits until so many connections to the database wait for a lock.
    pub(crate) async fn waiting(&self, count: i64) {
        let waiting = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";
        testkit::eventually("they wait for a lock", async || {
            (self.count(waiting).await == count).then_some(())
        })
        .await;
    }

    /// A token of an administrator who is in no table: for requests that read.
    pub(crate) fn admin_token(&self) -> String {
        self.user_token(Uuid::now_v7(), Role::Admin)
    }

    /// A token with a session of an administrator, made by SQL and without an event: for requests that change users. The
    /// password is the one that all have.
    pub(crate) async fn administrator(&self) -> String {
        let id = Uuid::now_v7();
        let pool = self.database.pool().await;
        let user =
            "insert into users (id, email, name, password_hash, admin, status, email_deliverable,
                                       version, created_at, updated_at)
                    values ($1, $1::text || '@admin.example', 'Admin', $2, true, 'active', true, 1,
                            now(), now())";
        sqlx::query(user).bind(id).bind(CHEAP).execute(&pool).await.unwrap();
        self.signed_in(id, Role::Admin).await
    }

    /// A token of a user who is in the table, with a session.
    pub(crate) async fn signed_in(&self, user: Uuid, role: Role) -> String {
        let session = Uuid::now_v7();
        let pool = self.database.pool().await;
        let opened = "insert into sessions (id, user_id, refresh_hash, created_at, expires_at)
                      values ($1, $2, sha256($1::text::bytea), now(), now() + interval '1 day')";
        sqlx::query(opened).bind(session).bind(user).execute(&pool).await.unwrap();
        let tokens = self.tokens("user-service", chassis::Clock::system());
        tokens.for_user(user, role, session).unwrap().value.expose().clone()
    }
}

impl Deref for TestApp {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

/// The token of an id, as notification-service makes it.
pub(crate) fn mail_token(id: Uuid) -> String {
    let secret = ServiceSecret::try_from("test-only-notification-service-token".to_owned());
    MailTokens::new(&secret.unwrap()).token(id).expose().to_owned()
}
