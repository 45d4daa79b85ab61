use sqlx::PgPool;

use super::*;
use crate::messages::archive::{self, Filter};

/// A database with an outbox as services have it.
async fn outbox() -> (testkit::TestDatabase, PgPool) {
    let server = testkit::database("dashboard-outbox").await;
    let pool = server.pool().await;
    for migration in [
        include_str!("../../../../../crates/messaging/migrations/0001_outbox.sql"),
        include_str!("../../../../../crates/messaging/migrations/0003_scheduled.sql"),
        include_str!("../../../../../crates/messaging/migrations/0004_archive.sql"),
        include_str!("../../../../../crates/messaging/migrations/0010_holds.sql"),
    ] {
        sqlx::raw_sql(migration).execute(&pool).await.unwrap();
    }
    (server, pool)
}

async fn look(pool: &PgPool) -> Outbox {
    let mut connection = pool.acquire().await.unwrap();
    read(&mut connection).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_partition_tells_its_rows_its_lag_what_is_held_and_who_has_its_lease() {
    let (_server, pool) = outbox().await;
    sqlx::raw_sql(
        "insert into messaging_holds (exchange, routing_key, next_attempt_at, reason)
             values ('user.events', 'user.created', now() + interval '1 minute', 'no queue is bound');
         insert into messaging_outbox
             (event_id, aggregate_id, partition, exchange, routing_key, envelope, mandatory,
              created_at, hold_id, traceparent)
         select gen_random_uuid(), gen_random_uuid(), 3, 'user.events', 'user.created', '{}', true,
                now() - interval '90 seconds', case when n = 1 then 1 end, 'trace'
         from generate_series(1, 2) as n;",
    )
    .execute(&pool)
    .await
    .unwrap();
    let mut lease = pool.begin().await.unwrap();
    // As crates/messaging/src/relay/lease.rs takes it.
    let taking = sqlx::query("select pg_advisory_xact_lock($1, $2)").bind(0x6f75_7462).bind(3);
    taking.execute(&mut *lease).await.unwrap();

    let found = look(&pool).await;

    let third = &found.partitions[3];
    assert_eq!((third.number, third.rows, third.held), (3, 2, 1));
    assert!(third.age.unwrap() >= 90.0 && found.age() == third.age, "{third:?}");
    assert!(third.holder.as_ref().unwrap().contains("backend "), "{third:?}");
    assert!(found.partitions.iter().filter(|it| it.number != 3).all(|it| it.holder.is_none()));
    assert_eq!((found.depth(), found.rows.len(), found.holds[0].rows), (2, 2, 1));
    assert_eq!(found.rows[0].reason.as_deref(), Some("no queue is bound"));
    lease.rollback().await.unwrap();
    assert!(look(&pool).await.partitions[3].holder.is_none());
}

#[tokio::test]
async fn a_database_without_an_outbox_has_none_and_no_archive() {
    let server = testkit::database("dashboard-empty").await;
    let mut connection = server.pool().await.acquire().await.unwrap();
    assert!(read(&mut connection).await.unwrap().is_none());
    assert!(archive::list(&mut connection, &Filter::default()).await.unwrap().is_none());
}

#[tokio::test]
async fn sent_events_are_found_by_type_id_aggregate_and_time_the_last_first() {
    let (_server, pool) = outbox().await;
    let of = "01a2292b-b6ba-75ed-bb2b-da1f8045bfb2";
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "insert into messaging_archive
             (event_id, id, aggregate_id, partition, exchange, routing_key, envelope, mandatory, sent_at)
         values
             ('01a2292b-0000-7000-8000-000000000001', 1, '{of}', 0, 'x', 'user.created', '{{\"a\":1}}',
              true, '2026-01-15T09:00:00Z'),
             ('01a2292b-0000-7000-8000-000000000002', 2, '{of}', 0, 'x', 'user.updated', '{{}}', true,
              '2026-01-15T10:00:00Z'),
             ('01a2292b-0000-7000-8000-000000000003', 3, gen_random_uuid(), 0, 'x', 'payment.failed',
              '{{}}', true, '2026-01-15T11:00:00Z')"
    )))
    .execute(&pool)
    .await
    .unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let mut positions = async |filter: Filter| -> Vec<i64> {
        let found = archive::list(&mut connection, &filter).await.unwrap().unwrap();
        found.iter().map(|it| it.position).collect()
    };
    let given = Filter::default;
    assert_eq!(positions(given()).await, [3, 2, 1]);
    assert_eq!(positions(Filter { event_type: "user.*".into(), ..given() }).await, [2, 1]);
    assert_eq!(positions(Filter { event_type: "user.created".into(), ..given() }).await, [1]);
    assert_eq!(positions(Filter { id: of.into(), before: Some(2), ..given() }).await, [1]);
    let since = "2026-01-15T10:00:00Z".parse().ok();
    assert_eq!(positions(Filter { since, ..given() }).await, [3, 2]);
    assert_eq!(positions(Filter { until: since, ..given() }).await, [1]);

    let id = "01a2292b-0000-7000-8000-000000000001";
    let (sent, body) = archive::event(&mut connection, id).await.unwrap().unwrap();
    assert_eq!((sent.event_type.as_str(), body.as_slice()), ("user.created", &b"{\"a\":1}"[..]));
    assert!(archive::event(&mut connection, of).await.unwrap().is_none(), "it is no event's id");
}
