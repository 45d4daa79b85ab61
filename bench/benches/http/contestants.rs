//! Who is compared: a binary, its variables, its rows, and what it is asked.

use std::path::PathBuf;

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use testkit::collector::Collector;
use testkit::{Environment, TestBroker, TestDatabase, binary};
use uuid::Uuid;

/// The tables of the contestants that have no migrations.
const TABLES: &str = "
    create table users (
        id uuid primary key, name text not null, email text not null unique, created_at timestamptz not null);
    create table outbox (
        id uuid primary key, routing_key text not null, body jsonb not null, created_at timestamptz not null);
    insert into users
    select gen_random_uuid(), 'User ' || n, n || '@example.com', now() from generate_series(1, 1000) n";
/// Rows of whoever asks.
const SAMPLES: &str = "
    insert into samples (id, user_id, idempotency_key, title, status, version, created_at, updated_at)
    select gen_random_uuid(), $1, 'k' || n, 'Sample ' || n, 'open', 1, now(), now()
    from generate_series(1, 1000) n";
/// Whoever asks for the own profile, which user-service has in its cache then.
const USER: &str = "
    insert into users (id, email, name, admin, status, email_deliverable, version, created_at, updated_at)
    values ($1, 'ada@example.com', 'Ada', false, 'active', true, 1, now(), now())";

pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) binary: PathBuf,
    pub(crate) kind: Kind,
    /// The path of its rows.
    pub(crate) base: &'static str,
    pub(crate) token: String,
    /// What makes a row, `#` where it must be unique; none where a POST is other work than the others'.
    pub(crate) body: Option<&'static str>,
    /// Whose token it is.
    owner: Uuid,
    variables: Vec<(&'static str, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By hand: its tables are made for it.
    Bare,
    Generated,
    Users,
}

/// The contestants of these names, all of them where there is no name; the one first that the others are
/// held to.
pub(crate) fn chosen(collector: &Collector, names: &[String]) -> Vec<Contestant> {
    let mut chosen = all(collector);
    chosen
        .retain(|contestant| names.is_empty() || names.iter().any(|name| name == contestant.name));
    chosen
}

fn all(collector: &Collector) -> Vec<Contestant> {
    let mut all = vec![bare("limit", binary("http-limit"))];
    match std::env::var_os("BENCH_GIN") {
        Some(gin) => all.push(bare("gin", gin.into())),
        None => println!("skipped: gin (Go and its packages are not there)"),
    }
    all.extend([generated(collector), users(collector)]);
    all
}

/// Its secret is that of the services, so that one token is good everywhere.
fn bare(name: &'static str, binary: PathBuf) -> Contestant {
    let owner = Uuid::now_v7();
    Contestant {
        name,
        binary,
        kind: Kind::Bare,
        base: "/api/users",
        token: token(json!({"sub": owner})),
        body: Some(r##"{"name": "User #", "email": "#@example.com"}"##),
        owner,
        variables: Vec::new(),
    }
}

pub(crate) fn generated(collector: &Collector) -> Contestant {
    let owner = Uuid::now_v7();
    let claims = json!({"aud": "tusk-api", "sub": owner, "role": "user", "sid": Uuid::now_v7()});
    Contestant {
        name: "generated",
        binary: binary("sample-service"),
        kind: Kind::Generated,
        base: "/api/samples",
        token: token(claims),
        body: Some(r#"{"title": "Sample #"}"#),
        owner,
        variables: everything(collector),
    }
}

fn users(collector: &Collector) -> Contestant {
    let owner = Uuid::now_v7();
    let claims = json!({"aud": "tusk-api", "sub": owner, "role": "user", "sid": Uuid::now_v7()});
    Contestant {
        name: "users",
        binary: binary("user-service"),
        kind: Kind::Users,
        base: "/api/users",
        token: token(claims),
        body: None,
        owner,
        variables: everything(collector),
    }
}

/// What a service does in production besides its answers.
fn everything(collector: &Collector) -> Vec<(&'static str, String)> {
    vec![
        ("TRACING_ENABLED", "true".to_owned()),
        ("TRACING_ENDPOINT", collector.endpoint()),
        ("TRACING_SAMPLING_PROBABILITY", "0.1".to_owned()),
        ("LOG_FILTER", "info".to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
        ("DB_POOL_SIZE", "10".to_owned()),
        ("SAMPLE_SERVICE_TOKEN", "only-of-the-benchmark-only-of-the-benchmark".to_owned()),
    ]
}

/// A token of the claims, signed as `jwt_secret` signs.
fn token(mut claims: Value) -> String {
    let now = chrono::Utc::now().timestamp();
    claims["iss"] = json!("tusk-microservices");
    claims["iat"] = json!(now);
    claims["exp"] = json!(now + 24 * 3600);
    let header = Header { kid: Some("0".to_owned()), ..Header::default() };
    let key = EncodingKey::from_secret(testkit::JWT_SECRET.as_bytes());
    jsonwebtoken::encode(&header, &claims, &key).unwrap()
}

impl Contestant {
    pub(crate) fn environment(
        &self,
        database: &TestDatabase,
        broker: &TestBroker,
        config: &str,
    ) -> Environment {
        let mut environment = testkit::environment(database, broker);
        environment.insert("CONFIG_DIR".to_owned(), config.to_owned());
        let own = self.variables.iter();
        environment.extend(own.map(|(name, value)| ((*name).to_owned(), value.clone())));
        environment
    }

    /// Makes the tables of those that cannot.
    pub(crate) async fn prepare(&self, database: &TestDatabase) {
        if self.kind == Kind::Bare {
            sqlx::raw_sql(TABLES).execute(&database.pool().await).await.unwrap();
        }
    }

    /// Fills the tables; gives the ids that are there.
    pub(crate) async fn fill(&self, database: &TestDatabase) -> Vec<Uuid> {
        let pool = database.pool().await;
        let (table, rows) = match self.kind {
            Kind::Bare => ("users", None),
            Kind::Generated => ("samples", Some(SAMPLES)),
            Kind::Users => ("users", Some(USER)),
        };
        if let Some(rows) = rows {
            sqlx::query(rows).bind(self.owner).execute(&pool).await.unwrap();
        }
        let statistics = AssertSqlSafe(format!("vacuum analyze {table}; checkpoint"));
        let _may_not_be_allowed = sqlx::raw_sql(statistics).execute(&pool).await;
        let ids = AssertSqlSafe(format!("select id from {table}"));
        sqlx::query_scalar(ids).fetch_all(&pool).await.unwrap()
    }

    /// Waits until the relay has published what was enqueued; tells how long that took.
    pub(crate) async fn relayed(&self, database: &TestDatabase) -> f64 {
        if self.kind == Kind::Bare {
            return 0.0;
        }
        let pool = database.pool().await;
        let begin = std::time::Instant::now();
        testkit::eventually("the outbox is empty", async || {
            let left = sqlx::query_scalar("select count(*) from messaging_outbox");
            let left: i64 = left.fetch_one(&pool).await.ok()?;
            (left == 0).then_some(())
        })
        .await;
        begin.elapsed().as_secs_f64()
    }
}
