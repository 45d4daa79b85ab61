//! A database per test: empty, owned by a role of its own, gone when the test is.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, PgPool};
use url::Url;
use uuid::Uuid;

use crate::{addresses, background};

/// Connections of [`TestDatabase::pool`]: enough for a test that watches a service at work, few
/// enough that many tests at once stay below the server's 100.
const POOL_SIZE_MAX: u32 = 4;
/// How long a connection may take to open or to be given out.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Letters of the hint that go into the name; PostgreSQL cuts names at 63 bytes, an id takes 33.
const HINT_LENGTH_MAX: usize = 24;

/// A fresh database on the shared server. It is dropped, with whoever is still connected, when this
/// value is.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: Url,
}

/// Makes an empty database, and a role that owns it and may do nothing else. `hint` shows in the
/// database's name, so that a look at the server says whose it is.
pub async fn database(hint: &str) -> TestDatabase {
    let name = unique_name(hint);
    let password = Uuid::now_v7().simple().to_string();
    create(&addresses().postgres, &name, &password)
        .await
        .unwrap_or_else(|error| panic!("cannot create the test database {name}: {error:#}"));
    let mut url = Url::parse(&addresses().postgres).expect("it was connected to a moment ago");
    url.set_path(&name);
    // Both only fail on URLs that cannot have a host.
    let _ = url.set_username(&name);
    let _ = url.set_password(Some(&password));
    TestDatabase { name, url }
}

impl TestDatabase {
    /// The database's name, which is also the name of its role.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `postgres://role:password@host:port/name` as a service is given it.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The role and its password.
    pub fn credentials(&self) -> (&str, &str) {
        (self.url.username(), self.url.password().unwrap_or_default())
    }

    /// The port of the server.
    pub fn server_port(&self) -> u16 {
        self.url.port().unwrap_or(5432)
    }

    /// `host:port` of the server, for a [`Proxy`](crate::Proxy) in between.
    pub fn server(&self) -> String {
        format!("{}:{}", self.url.host_str().unwrap_or("localhost"), self.server_port())
    }

    /// The same URL with the server reached by another address, such as a
    /// [`Proxy`](crate::Proxy)'s.
    pub fn url_through(&self, address: std::net::SocketAddr) -> String {
        let mut url = self.url.clone();
        let _ = url.set_ip_host(address.ip());
        let _ = url.set_port(Some(address.port()));
        url.into()
    }

    /// A small pool as the database's owner.
    pub async fn pool(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(POOL_SIZE_MAX)
            .acquire_timeout(CONNECT_LIMIT)
            .connect(self.url())
            .await
            .unwrap_or_else(|error| {
                panic!("cannot connect to the test database {}: {error}", self.name)
            })
    }

    /// From now on no transaction that writes to `table` commits, as if its process had died just before.
    /// One table at a time.
    pub async fn refuse_commits(&self, table: &str) {
        self.run(&format!(
            "create sequence refused_commits;
             create function refuse_commit() returns trigger language plpgsql as $$
             begin
                 -- A sequence goes on, whatever becomes of the transaction.
                 perform nextval('refused_commits');
                 raise exception 'a test refuses this commit';
             end $$;
             create constraint trigger refuse_commit after insert or update on {table}
                 deferrable initially deferred for each row execute function refuse_commit()"
        ))
        .await;
    }

    /// Whether a commit was refused since [`refuse_commits`](Self::refuse_commits).
    pub async fn has_refused_a_commit(&self) -> bool {
        let refused = sqlx::query_scalar("select is_called from refused_commits");
        let refused = refused.fetch_one(&self.pool().await).await;
        refused.unwrap_or_else(|error| panic!("cannot look at {}: {error}", self.name))
    }

    /// Transactions commit again.
    pub async fn allow_commits(&self) {
        self.run("drop function refuse_commit() cascade; drop sequence refused_commits").await;
    }

    async fn run(&self, sql: &str) {
        let run = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let run = run.execute(&self.pool().await).await;
        run.unwrap_or_else(|error| panic!("cannot change {}: {error}", self.name));
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        background::clean_up(move || {
            // A server that is away took the database with it; there is nobody to tell.
            let _ = background::run(remove(&addresses().postgres, &name));
        });
    }
}

async fn create(server: &str, name: &str, password: &str) -> anyhow::Result<()> {
    let work = async {
        let mut connection = server.parse::<PgConnectOptions>()?.connect().await?;
        // Safe to paste: a name is of `a-z0-9_` and a password of hex digits. DDL takes no
        // parameters. `template0` because nobody can be connected to it, which would make the copy
        // fail.
        for statement in [
            format!("create role {name} login password '{password}'"),
            format!("create database {name} owner {name} template template0 encoding 'UTF8'"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
        sqlx::Connection::close(connection).await?;
        anyhow::Ok(())
    };
    tokio::time::timeout(CONNECT_LIMIT * 3, work).await?
}

async fn remove(server: &str, name: &str) -> anyhow::Result<()> {
    let mut connection = server.parse::<PgConnectOptions>()?.connect().await?;
    for statement in [
        format!("drop database if exists {name} with (force)"),
        format!("drop role if exists {name}"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
    }
    Ok(())
}

/// A name nobody has: the hint's letters and digits in lower case, then a time-ordered id.
fn unique_name(hint: &str) -> String {
    let hint: String = hint
        .chars()
        .map(
            |letter| {
                if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' }
            },
        )
        .take(HINT_LENGTH_MAX)
        .collect();
    format!("t_{hint}_{}", Uuid::now_v7().simple())
}

#[cfg(test)]
mod tests {
    use super::unique_name;

    #[test]
    fn names_are_safe_to_paste_and_short_enough_whatever_the_hint() {
        for hint in ["", "payment-service", "Robert'); drop table", &"x".repeat(200), "zahlung é"]
        {
            let name = unique_name(hint);
            assert!(name.len() <= 63, "{name}");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            );
        }
        assert_ne!(unique_name("a"), unique_name("a"));
    }
}
