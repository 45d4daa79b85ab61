//! Databases of tests.

use sqlx::{Connection, PgConnection, PgPool};
use testkit::{Proxy, addresses, database};

use crate::a_test;

async fn exists(name: &str) -> (bool, bool) {
    let pool = PgPool::connect(&addresses().postgres).await.unwrap();
    sqlx::query_as(
        "select exists (select from pg_database where datname = $1), \
         exists (select from pg_roles where rolname = $1)",
    )
    .bind(name)
    .fetch_one(&pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_test_owns_its_database_and_no_more() {
    let database = database("own").await;
    let pool = database.pool().await;
    sqlx::query("create table things (id int)").execute(&pool).await.unwrap();
    let (encoding, superuser): (String, bool) = sqlx::query_as(
        "select pg_encoding_to_char(encoding), \
         (select rolsuper from pg_roles where rolname = current_user) \
         from pg_database where datname = current_database()",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!((encoding.as_str(), superuser), ("UTF8", false));
}

#[tokio::test]
async fn two_tests_never_share_a_database() {
    let (one, other) = tokio::join!(database("same"), database("same"));
    assert_ne!(one.name(), other.name());
    assert!(one.name().starts_with("t_same_"));
}

#[tokio::test]
async fn the_end_of_a_test_removes_database_and_role_although_somebody_is_connected() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let name = a_test(async move {
        let database = database("drop").await;
        tell.send(database.url().to_owned()).unwrap();
        // A connection that outlives its runtime: nobody reads it, and nobody closes it.
        std::mem::forget(PgConnection::connect(database.url()).await.unwrap());
        assert_eq!(exists(database.name()).await, (true, true));
        database.name().to_owned()
    });
    let name = name.await;
    assert_eq!(exists(&name).await, (false, false));
    assert!(PgConnection::connect(&told.await.unwrap()).await.is_err());
}

#[tokio::test]
async fn it_is_reached_through_a_proxy_by_the_same_role() {
    let database = database("proxy").await;
    let proxy = Proxy::start(database.server()).await;
    let mut connection =
        PgConnection::connect(&database.url_through(proxy.address())).await.unwrap();
    connection.ping().await.unwrap();
    proxy.cut().await;
    assert!(connection.ping().await.is_err());
}
