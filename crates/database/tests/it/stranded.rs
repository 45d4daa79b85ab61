//! A database that is no longer behind its address: connections that are open hear nothing, for ever,
//! and new ones are well.

use std::time::Duration;

use database::{Database, DatabaseSettings};
use sqlx::Connection;
use testkit::{Proxy, TestDatabase};
use tokio::time::timeout;

/// What a request or a handler waits for at most.
const PATIENCE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_pool_whose_connections_were_all_given_up_opens_new_ones() {
    let (database, wire, _server) = behind_a_wire("stranded", 2).await;

    wire.strand().await;

    testkit::eventually("a statement goes well", async || {
        timeout(PATIENCE, sqlx::query("select 1").execute(&database)).await.ok()?.ok()
    })
    .await;
}

#[tokio::test]
async fn a_transaction_whose_client_is_gone_gives_its_locks_back() {
    let (database, wire, server) = behind_a_wire("gone", 1).await;
    sqlx::raw_sql("create table things (id bigint primary key); insert into things values (1)")
        .execute(&database)
        .await
        .unwrap();
    let lock = "select id from things for update";
    let mut holder = database.acquire().await.unwrap();
    let mut tx = holder.begin().await.unwrap();
    sqlx::query(lock).execute(&mut *tx).await.unwrap();

    wire.strand().await;

    let mut other = sqlx::PgConnection::connect(server.url()).await.unwrap();
    let locked = timeout(Duration::from_secs(20), sqlx::query(lock).execute(&mut other)).await;
    assert!(locked.is_ok_and(|locked| locked.is_ok()), "the row is locked for ever");
}

/// A service's pool, with a wire between it and the server.
pub(crate) async fn behind_a_wire(hint: &str, pool_size: u32) -> (Database, Proxy, TestDatabase) {
    let server = testkit::database(hint).await;
    let (host, _) = server.url().rsplit_once('@').unwrap().1.split_once('/').unwrap();
    let wire = Proxy::start(host).await;
    let url = server.url().replace(host, &wire.address().to_string());
    let pool_size = pool_size.try_into().unwrap();
    let settings = DatabaseSettings { pool_size, ..crate::settings(&url) };
    (crate::connect(&settings).await.requests, wire, server)
}
