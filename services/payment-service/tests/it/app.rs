//! A payment service in this process, on servers of its own.

use std::ops::Deref;

use auth::Role;
use payment_service::PaymentService;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use testkit::simulator::Simulator;
use testkit::{Instance, Plain, TestBroker, TestDatabase, Users, eventually};
use uuid::Uuid;

pub(crate) struct TestApp {
    pub(crate) fixture: Fixture,
    pub(crate) plain: Plain,
    instance: Instance,
}

/// The servers and variables of a service, before an instance starts.
pub(crate) struct Fixture {
    pub(crate) database: TestDatabase,
    pub(crate) broker: TestBroker,
    pub(crate) simulator: Simulator,
    pub(crate) users: Users,
    variables: Vec<(&'static str, String)>,
}

/// A user with a token.
pub(crate) struct Payer {
    pub(crate) id: Uuid,
    pub(crate) token: String,
}

impl Fixture {
    pub(crate) async fn set_up(variables: &[(&'static str, &str)]) -> Self {
        let (database, broker, simulator, users) = tokio::join!(
            testkit::database("payment_service"),
            testkit::broker(),
            Simulator::start(),
            Users::start(),
        );
        let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Self { database, broker, simulator, users, variables: variables.collect() }
    }

    /// Starts an instance.
    pub(crate) async fn start(&self) -> Instance {
        let vars = testkit::vars(&self.database, &self.broker)
            .with("STRIPE_API_BASE", self.simulator.url())
            .with("USER_SERVICE_HOST", "127.0.0.1")
            .with("USER_SERVICE_PORT", self.users.port().to_string())
            .with("WORKER_POLL_INTERVAL", "50ms")
            .with_all(self.variables.iter().cloned());
        Instance::start::<PaymentService>(vars).await
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
        let plain = Plain::connect(&fixture.broker).await;
        Self { fixture, plain, instance }
    }

    /// The instance crashes and another takes its place.
    pub(crate) async fn crash_and_restart(mut self) -> Self {
        self.crash().await;
        self.restart().await;
        self
    }

    pub(crate) async fn crash(&mut self) {
        self.instance.crash().await;
    }

    pub(crate) async fn restart(&mut self) {
        self.instance = self.fixture.start().await;
    }

    pub(crate) fn payer(&self) -> Payer {
        self.user(Role::User)
    }

    pub(crate) fn admin(&self) -> Payer {
        self.user(Role::Admin)
    }

    fn user(&self, role: Role) -> Payer {
        let id = Uuid::now_v7();
        Payer { id, token: self.user_token(id, role) }
    }

    /// A payment of so many minor units of a currency.
    pub(crate) async fn pay_money(&self, payer: &Payer, amount: i64, currency: &str) -> Response {
        let key = format!("{amount}-{currency}");
        let body = json!({
            "amount": amount, "currency": currency, "payment_method": "pm_card_visa",
        });
        let request = self.request(Method::POST, "/api/payments").bearer_auth(&payer.token);
        request.header("idempotency-key", key).json(&body).send().await.unwrap()
    }

    /// A payment of 19.99 EUR.
    pub(crate) fn paying(&self, payer: &Payer, key: &str, method: &str) -> RequestBuilder {
        Self::paying_at(&self.instance, payer, key, method)
    }

    /// [`paying`](Self::paying) at another instance.
    pub(crate) fn paying_at(
        instance: &Instance,
        payer: &Payer,
        key: &str,
        method: &str,
    ) -> RequestBuilder {
        let body = json!({"amount": 1999, "currency": "EUR", "payment_method": method});
        let request = instance.request(Method::POST, "/api/payments");
        request.bearer_auth(&payer.token).header("idempotency-key", key).json(&body)
    }

    pub(crate) async fn pay(&self, payer: &Payer, key: &str, method: &str) -> Response {
        self.paying(payer, key, method).send().await.unwrap()
    }

    /// One payment: its id, and the token of whose it is.
    pub(crate) async fn one(&self) -> (String, String) {
        let payer = self.payer();
        let paid = self.pay(&payer, "order-1", "pm_card_visa").await;
        let paid: Value = paid.json().await.unwrap();
        (paid["payment_id"].as_str().unwrap().to_owned(), payer.token)
    }

    /// The one payment of a payer, once it has a status.
    pub(crate) async fn until_status(&self, payer: &Payer, status: &str) -> Value {
        eventually(&format!("the payment is {status}"), async || {
            let page: Value = self.get("/api/payments", &payer.token).await.json().await.unwrap();
            let payment = page["items"][0].clone();
            (payment["status"] == status).then_some(payment)
        })
        .await
    }

    /// How many rows a table has.
    pub(crate) async fn rows(&self, table: &str) -> i64 {
        let pool = self.fixture.database.pool().await;
        let query = format!("select count(*) from {table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&pool).await.unwrap()
    }

    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        let pool = self.fixture.database.pool().await;
        sqlx::query_scalar(query).fetch_one(&pool).await.unwrap()
    }

    /// Version, status and reason of every state that payments were in.
    pub(crate) async fn history(&self) -> Vec<(i64, String, Option<String>)> {
        let pool = self.fixture.database.pool().await;
        let query = "select version, status, reason from payment_history order by at, version";
        sqlx::query_as(query).fetch_all(&pool).await.unwrap()
    }

    /// The tables of which a row holds the text anywhere.
    pub(crate) async fn tables_with(&self, text: &str) -> Vec<String> {
        let pool = self.fixture.database.pool().await;
        let tables = "select table_name::text from information_schema.tables
                      where table_schema = 'public' and table_type = 'BASE TABLE'";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&pool).await.unwrap();
        assert!(tables.iter().any(|table| table == "payments"), "{tables:?}");
        let mut found = Vec::new();
        for table in tables {
            let query = format!("select count(*) from {table} t where position($1 in t::text) > 0");
            let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).bind(text);
            let rows: i64 = rows.fetch_one(&pool).await.unwrap();
            found.extend((rows > 0).then_some(table));
        }
        found
    }

    /// Waits until the provider has been asked so often.
    pub(crate) async fn until_asked(&self, times: usize) {
        eventually("the provider was asked", async || {
            (self.fixture.simulator.requests().len() >= times).then_some(())
        })
        .await;
    }

    pub(crate) async fn execute(&self, sql: &'static str) {
        let pool = self.fixture.database.pool().await;
        sqlx::query(sql).execute(&pool).await.unwrap();
    }

    /// Waits until the worker has retired the key of a payment at the provider.
    pub(crate) async fn until_key_retired(&self) {
        let retired = "select count(*) from payments where key_retired_at is not null";
        eventually("the key is retired", async || (self.count(retired).await > 0).then_some(()))
            .await;
    }

    /// Has the worker take up at once what is not settled.
    pub(crate) async fn is_due_now(&self) {
        self.execute("update payments set next_attempt_at = now() where status = 'processing'")
            .await;
    }

    /// Moves payments and keys a day and an hour into the past.
    pub(crate) async fn a_day_goes_by(&self) {
        self.execute(
            "update payments set created_at = created_at - interval '25 hours',
                                 updated_at = updated_at - interval '25 hours',
                                 key_retired_at = key_retired_at - interval '25 hours',
                                 next_attempt_at = next_attempt_at - interval '25 hours'",
        )
        .await;
        self.execute("update idempotency_keys set expires_at = expires_at - interval '25 hours'")
            .await;
    }

    /// What a gauge or counter without labels, or with these, shows.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let text = self.request(Method::GET, "/metrics").send().await.unwrap().text().await;
        let text = text.unwrap();
        let shown = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        shown.unwrap_or_else(|| panic!("no {series} in\n{text}"))
    }

    pub(crate) fn charges(&self) -> usize {
        self.fixture.simulator.charges().len()
    }
}

impl Deref for TestApp {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}
