//! A start that fails says which database, as whom, and why, with the server's SQLSTATE.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use database::DatabaseSettings;
use sqlx::AssertSqlSafe;
use testkit::TestDatabase;
use testkit::native::psql::with_database;
use testkit::native::{Postgres, ServerOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::settings;

const PASSWORD: &str = "hunter2-is-secret";

#[tokio::test]
async fn each_start_that_fails_says_where_as_whom_and_why_and_never_the_password() {
    let server = testkit::database("starts").await;
    let name = server.name();
    let at = server.server();
    let url = |user: &str, at: &str, database: &str| {
        format!("postgres://{user}:{PASSWORD}@{at}/{database}")
    };
    with_password(&server).await;
    let port = at.rsplit_once(':').unwrap().1;
    for (what, url, why) in [
        ("a wrong password", url(name, &at, name).replace("secret", "wrong"), "(SQLSTATE 28P01)"),
        ("an unknown database", url(name, &at, "nothing"), "(SQLSTATE 3D000)"),
        ("an unknown user", url("nobody", &at, name), "(SQLSTATE 28P01)"),
        ("an unknown host", url(name, "nowhere.invalid:5432", name), "failed to lookup address"),
        ("a port where nobody listens", url(name, "127.0.0.1:1", name), "onnection refused"),
        (
            "a server without TLS",
            url(name, &at, &format!("{name}?sslmode=require")),
            "server does not support TLS",
        ),
    ] {
        let error = database::connect(&settings(&url)).await.unwrap_err().to_string();

        assert!(error.contains(why), "{what}: {error}");
        assert!(!error.contains("hunter2"), "{what}: {error}");
        let user = if url.contains("nobody") { "nobody" } else { name };
        let host = if url.contains("nowhere") { "nowhere.invalid:5432" } else { "127.0.0.1:" };
        let names = [host, &format!("user `{user}`"), "database `"];
        assert!(names.iter().all(|name| error.contains(name)), "{what}: {error}");
        assert!(url.contains(port) || !error.contains(port), "{what}: {error}");
    }
}

#[tokio::test]
async fn a_role_that_may_not_create_tables_ends_the_start_with_what_the_server_said() {
    let server = testkit::database("no_create").await;
    let owner = server.pool().await;
    sqlx::raw_sql("drop schema public").execute(&owner).await.unwrap();
    let pools = crate::connect(&settings(server.url())).await;

    let error = database::migrate(&pools.background, crate::migrations::things()).await;

    let error = error.unwrap_err().to_string();
    assert!(error.contains("(SQLSTATE 3F000)") && error.contains(server.name()), "{error}");
    // Another role owns the schema.
    let name = server.name();
    let admin = sqlx::PgPool::connect(&superuser(&server)).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!(
        "create schema public; grant usage on schema public to {name}"
    )))
    .execute(&admin)
    .await
    .unwrap();
    let error = database::migrate(&pools.background, crate::migrations::things()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("(SQLSTATE 42501)") && error.contains(name), "{error}");
}

#[tokio::test]
async fn a_role_without_a_connection_left_and_a_database_that_only_reads_are_reported() {
    let server = testkit::database("full").await;
    let name = server.name();
    let admin = sqlx::PgPool::connect(&superuser(&server)).await.unwrap();
    for (change, why) in [
        (format!("alter role {name} connection limit 0"), "(SQLSTATE 53300)"),
        (
            format!("alter role {name} connection limit 4"),
            "are 6 connections, and the connection limit of the role is 4",
        ),
        (format!("alter role {name} connection limit -1"), ""),
        (
            format!("alter database {name} set default_transaction_read_only = on"),
            "(SQLSTATE 25006)",
        ),
    ] {
        sqlx::raw_sql(AssertSqlSafe(change)).execute(&admin).await.unwrap();

        let started = database::connect(&settings(server.url())).await;

        let said = started.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains(why) && said.is_empty() == why.is_empty(), "{said}");
    }
}

/// The other end of the first connection vanishes without a word, once it has been signed in to.
#[tokio::test]
async fn a_start_does_not_wait_for_a_connection_whose_other_end_has_vanished() {
    let server = testkit::database("vanished").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = server.server();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let taken = connections.clone();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(&at).await.unwrap();
            let vanishes = taken.fetch_add(1, Ordering::SeqCst) == 0;
            tokio::spawn(pass_on(client, server, vanishes));
        }
    });
    let url = server.url().replace(&server.server(), &address.to_string());
    let settings = DatabaseSettings {
        pool_timeout: Duration::from_secs(1),
        start_timeout: Duration::from_mins(1),
        ..settings(&url)
    };

    let pools = database::connect(&settings).await.unwrap();

    assert!(connections.load(Ordering::SeqCst) > 1);
    sqlx::query("select 1").execute(&pools.requests).await.unwrap();
}

/// Hands on what both say; one that vanishes says nothing more once it is asked for the limits of
/// connections.
async fn pass_on(client: TcpStream, server: TcpStream, vanishes: bool) {
    let (mut asks, mut hears) = client.into_split();
    let (mut answers, mut takes) = server.into_split();
    let asking = async {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = asks.read(&mut piece).await {
            let is_last = piece[..length].windows(12).any(|bytes| bytes == b"rolconnlimit");
            if vanishes && is_last {
                std::future::pending::<()>().await;
            }
            takes.write_all(&piece[..length]).await.unwrap();
        }
    };
    let answering = async {
        // It ends with the test, in the middle of whatever.
        tokio::io::copy(&mut answers, &mut hears).await.unwrap_or_default();
    };
    tokio::join!(asking, answering);
}

/// As in a rolling update on a server that is nearly full: the pools have taken what was left.
#[tokio::test]
async fn migrations_are_applied_where_the_pools_have_taken_all_connections_that_were_left() {
    let server = testkit::database("nearly_full").await;
    let name = server.name();
    let admin = sqlx::PgPool::connect(&superuser(&server)).await.unwrap();
    let settings = settings(server.url());
    let limit = format!("alter role {name} connection limit {}", settings.connections());
    sqlx::raw_sql(AssertSqlSafe(limit)).execute(&admin).await.unwrap();

    let pools = database::connect(&settings).await.unwrap();
    database::migrate(&pools.background, crate::migrations::things()).await.unwrap();

    let things = sqlx::query("select count(*) from things").execute(&pools.requests).await;
    assert!(things.is_ok(), "{things:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_up_after_the_service_is_waited_for() {
    let mut postgres = Postgres::start(&ServerOptions::temporary().unwrap()).unwrap();
    postgres.kill().unwrap();
    let settings =
        DatabaseSettings { start_timeout: Duration::from_mins(1), ..settings(&postgres.url()) };

    let started = tokio::spawn(async move { database::connect(&settings).await.map(drop) });
    tokio::task::block_in_place(|| postgres.start_again().unwrap());

    started.await.unwrap().unwrap();
}

/// Gives the database's role a password that a text can be searched for.
async fn with_password(server: &TestDatabase) {
    let change = format!("alter role {} password '{PASSWORD}'", server.name());
    sqlx::raw_sql(AssertSqlSafe(change)).execute(&server.pool().await).await.unwrap();
}

/// The superuser's address of this database.
fn superuser(server: &TestDatabase) -> String {
    with_database(&testkit::addresses().postgres, server.name())
}
