//! Sessions and refresh tokens whose time is up are removed as fast as they come.

use sqlx::PgPool;
use testkit::{Instance, eventually};
use user_service::UserService;

async fn count(pool: &PgPool, table: &str) -> i64 {
    let query = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

/// Another replica locks the oldest thousand, as it does while it removes them.
#[tokio::test]
async fn one_round_removes_all_that_are_past_their_time_but_those_that_another_replica_removes() {
    let (database, broker) = tokio::join!(testkit::database("sweeps"), testkit::broker());
    // So long that only the round at the start counts.
    let vars = || testkit::vars(&database, &broker).with("SESSION_SWEEP_INTERVAL", "1d");
    drop(Instance::start::<UserService>(vars()).await);
    let pool = database.pool().await;
    let expired = "with somebody as (
          insert into users (id, email, name, admin, status, email_deliverable, version,
                             created_at, updated_at)
          values (gen_random_uuid(), 'ada@example.com', 'Ada', false, 'active', true, 1, now(), now())
          returning id
        ), one as (
          insert into sessions (id, user_id, refresh_hash, created_at, expires_at)
          select gen_random_uuid(), id, 'good', now(), now() + interval '1 day' from somebody
          returning id
        ), old_tokens as (
          insert into former_refresh_tokens (refresh_hash, session_id, generation, expires_at)
          select 'token' || n::text::bytea, id, 1, now() - n * interval '1 second'
          from one, generate_series(1, 3500) n
        )
        insert into sessions (id, user_id, refresh_hash, created_at, expires_at)
        select gen_random_uuid(), id, 'session' || n::text::bytea, now(),
               now() - n * interval '1 second'
        from somebody, generate_series(1, 3500) n";
    sqlx::query(expired).execute(&pool).await.unwrap();
    let mut other_replica = pool.begin().await.unwrap();
    let lock = "select id from sessions order by expires_at limit 1000 for update";
    sqlx::query(lock).execute(&mut *other_replica).await.unwrap();

    let _replica = Instance::start::<UserService>(vars()).await;
    eventually("all tokens are removed", async || {
        (count(&pool, "former_refresh_tokens").await == 0).then_some(())
    })
    .await;
    eventually("the good session and those of the other replica are left", async || {
        (count(&pool, "sessions").await == 1_001).then_some(())
    })
    .await;
}
