//! Processes killed between two steps that follow each other at once: a lock in the database holds
//! them there until the kill.

use sqlx::{PgPool, Postgres, Transaction};
use testkit::eventually;

use crate::campaign::Sabotage;
use crate::campaign::fixture::Fixture;
use crate::campaign::oracle::Findings;
use crate::campaign::schedule::Fault;
use crate::faults::{at_rest, flowing, once};

#[tokio::test(flavor = "multi_thread")]
async fn relay_killed_between_confirm_and_delete() {
    let mut fixture = flowing(Fault::PublisherKilled, None).await;
    let lock = lock(&fixture.pool, "messaging_outbox").await;
    until_held(&fixture.pool, "delete from messaging_outbox").await;
    eventually("a message has its effect while its row is there", async || {
        (sent_and_not_deleted(&fixture.pool).await > 0).then_some(())
    })
    .await;

    both_killed(&mut fixture, Fault::PublisherKilled).await;
    assert!(sent_and_not_deleted(&fixture.pool).await > 0, "the rows outlive the relay");
    lock.rollback().await.unwrap();

    at_rest(&mut fixture).await.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn consumer_killed_before_commit() {
    let mut fixture = flowing(Fault::ConsumerKilled, None).await;
    let lock = lock(&fixture.pool, "effects").await;
    until_held(&fixture.pool, "insert into effects").await;

    both_killed(&mut fixture, Fault::ConsumerKilled).await;
    lock.rollback().await.unwrap();

    at_rest(&mut fixture).await.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn consumer_killed_between_commit_and_acknowledgement() {
    killed_before_the_acknowledgement(None).await.assert_sound();
}

/// The same without an inbox: had the kill come too late, the test above could not fail.
#[tokio::test(flavor = "multi_thread")]
async fn consumer_killed_between_commit_and_acknowledgement_doubles_without_an_inbox() {
    let findings = killed_before_the_acknowledgement(Some(Sabotage::Inbox)).await;

    assert!(findings.duplicated() > 0, "{findings}");
    assert_eq!(findings.lost(), 0, "{findings}");
}

/// Effects are committed while no acknowledgement can reach the broker; then the consumers are
/// killed, and what they sent is cut off on its way.
async fn killed_before_the_acknowledgement(wrong: Option<Sabotage>) -> Findings {
    let mut fixture = flowing(Fault::ConsumerKilled, wrong).await;
    let lock = lock(&fixture.pool, "effects").await;
    until_held(&fixture.pool, "insert into effects").await;
    fixture.broker_wire.freeze().await;
    let before = effects(&fixture.pool).await;
    lock.rollback().await.unwrap();
    eventually("an effect is committed", async || {
        (effects(&fixture.pool).await > before).then_some(())
    })
    .await;

    both_killed(&mut fixture, Fault::ConsumerKilled).await;
    fixture.broker_wire.cut().await;
    fixture.broker_wire.restore().await;

    at_rest(&mut fixture).await
}

async fn both_killed(fixture: &mut Fixture, fault: Fault) {
    for which in [0, 1] {
        fixture.inject(&once(fault, which)).await;
    }
}

/// Under this lock rows can be read and claimed, not written or deleted.
async fn lock(pool: &PgPool, table: &str) -> Transaction<'static, Postgres> {
    let mut tx = pool.begin().await.unwrap();
    let statement = format!("lock table {table} in share mode");
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *tx).await.unwrap();
    tx
}

/// Waits until a worker stands before the lock with this statement.
async fn until_held(pool: &PgPool, statement: &str) {
    eventually("a worker stands before the lock", async || {
        let held = sqlx::query_scalar::<_, i64>(
            "select count(*) from pg_stat_activity where datname = current_database()
             and wait_event_type = 'Lock' and starts_with(query, $1)",
        );
        (held.bind(statement).fetch_one(pool).await.unwrap() > 0).then_some(())
    })
    .await;
}

async fn sent_and_not_deleted(pool: &PgPool) -> i64 {
    let count = sqlx::query_scalar(
        "select count(*) from messaging_outbox join effects on message_id = event_id::text",
    );
    count.fetch_one(pool).await.unwrap()
}

async fn effects(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from effects").fetch_one(pool).await.unwrap()
}
