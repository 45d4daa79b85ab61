//! Every table of the three services, and what keeps it from growing for ever. A table that is added fails
//! the test until it is listed here: with what removes its rows, or among those that grow with the business.
//!
//! A day of fifty writes a second is 4,320,000 rows. A thousandth of that, over as much time as it takes to
//! come, is put into each table that is swept: it is more than four batches, so that a sweep which ends
//! before a batch is short leaves some. One round is all that there is in this test.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use tokio::time::{Instant, sleep};

use crate::system::{Fixture, System, THREE};

/// What becomes of a table's rows.
enum Rows {
    /// A sweep removes those past their time. The statement inserts one for each `n`: `n` minutes past its
    /// time, and where `n` is negative so many before it is.
    Swept(&'static str),
    /// Whoever works on one removes it. The statement inserts some.
    WorkedOff(&'static str),
    /// They are as many as there are users, payments and releases, or the law has them kept.
    Kept,
}
use Rows::{Kept, Swept, WorkedOff};

/// Those that every service has.
const SHARED: [(&str, Rows); 11] = [
    ("_sqlx_migrations", Kept),
    ("_messaging_migrations", Kept),
    ("_platform_migrations", Kept),
    (
        "audit",
        Swept(
            "insert into audit (id, at, last_at, actor, action, target, outcome)
             select gen_random_uuid(), now(), now() - interval '90 days' - n * interval '1 minute',
                    'anybody', 'sign-in', '', 'success' from n",
        ),
    ),
    (
        "messaging_inbox",
        Swept(
            "insert into messaging_inbox (consumer, message_id, received_at)
             select 'q', n::text, now() - interval '168 hours' - n * interval '1 minute' from n",
        ),
    ),
    (
        "messaging_archive",
        Swept(
            "insert into messaging_archive (event_id, id, aggregate_id, partition, exchange, routing_key,
                                            envelope, mandatory, sent_at)
             select gen_random_uuid(), n, gen_random_uuid(), 0, 'e', 'k', '', false,
                    now() - n * interval '1 minute' from n",
        ),
    ),
    (
        "messaging_erased",
        Swept(
            "insert into messaging_erased (aggregate_id, up_to, erased_at)
             select gen_random_uuid(), 0, now() - interval '168 hours' - n * interval '1 minute' from n",
        ),
    ),
    (
        "messaging_processes",
        Swept(
            "insert into messaging_processes (kind, key, state, ended_at)
             select 'k', n::text, '{}', now() - interval '168 hours' - n * interval '1 minute' from n",
        ),
    ),
    // The relay sends and deletes: what is not mandatory is gone where nobody reads it.
    (
        "messaging_outbox",
        WorkedOff(
            "insert into messaging_outbox (event_id, aggregate_id, partition, exchange, routing_key,
                                           envelope, mandatory)
             select gen_random_uuid(), gen_random_uuid(), 0, 'user.events', 'nobody.reads', '{}', false
             from n",
        ),
    ),
    (
        "messaging_scheduled",
        WorkedOff(
            "insert into messaging_scheduled (key, due_at, event_id, aggregate_id, partition, exchange,
                                              routing_key, envelope, mandatory)
             select n::text, now(), gen_random_uuid(), gen_random_uuid(), 0, 'user.events',
                    'nobody.reads', '{}', false from n where n > 4000",
        ),
    ),
    // One for each route that is held up, and for each row of the outbox that is refused.
    ("messaging_holds", Kept),
];

const USER_SERVICE: [(&str, Rows); 9] = [
    ("users", Kept),
    // One for each user at most.
    ("second_factors", Kept),
    // One for each user and issuer at most.
    ("external_accounts", Kept),
    (
        "external_flows",
        Swept(
            "insert into external_flows (id, issuer, state_hash, browser_hash, created_at, expires_at)
             select gen_random_uuid(), 'https://issuer.example.com', ('state' || n)::bytea, 'browser',
                    now(), now() - n * interval '1 minute' from n",
        ),
    ),
    (
        "sessions",
        Swept(
            "insert into sessions (id, user_id, refresh_hash, created_at, expires_at)
             select gen_random_uuid(), users.id, ('session' || n)::bytea, now(),
                    now() - n * interval '1 minute' from n, users",
        ),
    ),
    (
        "former_refresh_tokens",
        Swept(
            "insert into former_refresh_tokens (refresh_hash, session_id, generation, expires_at)
             select ('former' || n)::bytea, latest.id, 1, now() - n * interval '1 minute'
             from n, (select id from sessions order by expires_at desc limit 1) latest",
        ),
    ),
    (
        "ended_sessions",
        Swept(
            "insert into ended_sessions (session_id, ended_at, told_at)
             select gen_random_uuid(), now() - interval '1 day' * (n > 0)::int - n * interval '1 minute',
                    now() from n",
        ),
    ),
    (
        "mail_tokens",
        Swept(
            "insert into mail_tokens (id, user_id, purpose, email, token_hash, created_at, expires_at)
             select gen_random_uuid(), users.id, 'verification', 'ada@example.com',
                    ('token' || n)::bytea, now(), now() - n * interval '1 minute' from n, users",
        ),
    ),
    (
        "password_reset_requests",
        WorkedOff(
            "insert into password_reset_requests (id, email, created_at)
             select gen_random_uuid(), 'nobody@example.com', now() from n where n > 4200",
        ),
    ),
];

const PAYMENT_SERVICE: [(&str, Rows); 4] = [
    ("customers", Kept),
    ("payments", Kept),
    ("payment_history", Kept),
    (
        "idempotency_keys",
        Swept(
            "with payment as (
                 insert into payments (id, user_id, amount, currency, payment_method, status, attempts,
                                       version, created_at, updated_at)
                 values (gen_random_uuid(), gen_random_uuid(), 100, 'EUR', 'pm_card_visa', 'succeeded', 1,
                         2, now() - interval '3 days', now() - interval '3 days')
                 returning id, user_id
             )
             insert into idempotency_keys (user_id, key, fingerprint, payment_id, expires_at)
             select payment.user_id, n::text, '', payment.id, now() - n * interval '1 minute'
             from (select generate_series(1, 4320) as n union all select generate_series(-99, -10)) n,
                  payment",
        ),
    ),
];

const NOTIFICATION_SERVICE: [(&str, Rows); 2] = [
    ("contacts", Kept),
    (
        "notifications",
        Swept(
            "insert into notifications (id, user_id, kind, channel, source, subject, text_body,
                                        html_body, status, attempts, version, created_at, updated_at,
                                        sent_at)
             select (lpad(to_hex((extract(epoch from now() - interval '90 days'
                                          - n * interval '1 minute') * 1000)::bigint), 12, '0')
                     || '70008' || lpad(to_hex(n + 100), 15, '0'))::uuid,
                    gen_random_uuid(), 'welcome', 'email', n::text, 'Hello', 'Hello', 'Hello', 'sent', 1,
                    2, now(), now(), now() from n",
        ),
    ),
];

/// How long the round at the start of a service may take on a machine that is busy.
const SWEPT_WITHIN: Duration = Duration::from_secs(60);
/// Rows that are inserted before their time.
const YOUNG: i64 = 90;
/// The numbers of the rows that are inserted.
const NUMBERS: &str = "with n as (select generate_series(1, 4320) as n
                                  union all select generate_series(-99, -10))";

/// The tables that say whom they are about, and where in an export they are, or why they are not.
const OF_USERS: [(&str, &str); 13] = [
    ("user-service users", "user.profile"),
    ("user-service sessions", "user.sessions"),
    ("user-service mail_tokens", "user.mail_tokens"),
    ("user-service external_accounts", "user.external_accounts"),
    ("payment-service customers", "payments.customer"),
    ("payment-service payments", "payments.items"),
    ("payment-service idempotency_keys", "what was answered before, of payments that are there"),
    ("notification-service contacts", "notifications.contact"),
    ("notification-service notifications", "notifications.items"),
    ("user-service former_refresh_tokens", "of a session: hashes"),
    ("user-service external_flows", "of a session, for minutes: hashes"),
    ("user-service second_factors", "what only proves things: sealed, and hashes"),
    ("payment-service payment_history", "of a payment: what it was before"),
];

fn tables(service: &str) -> Vec<(&'static str, &'static Rows)> {
    let own: &'static [(&str, Rows)] = match service {
        "user-service" => &USER_SERVICE,
        "payment-service" => &PAYMENT_SERVICE,
        _ => &NOTIFICATION_SERVICE,
    };
    SHARED.iter().chain(own).map(|(name, rows)| (*name, rows)).collect()
}

async fn names(pool: &PgPool, query: &'static str) -> BTreeSet<String> {
    let names: Vec<String> = sqlx::query_scalar(query).fetch_all(pool).await.unwrap();
    names.into_iter().collect()
}

async fn count(pool: &PgPool, table: &str) -> i64 {
    let count = AssertSqlSafe(format!("select count(*) from {table}"));
    sqlx::query_scalar(count).fetch_one(pool).await.unwrap()
}

async fn fill(pool: &PgPool, statement: &str) {
    let numbers = if statement.trim_start().starts_with("with") { "" } else { NUMBERS };
    let insert = AssertSqlSafe(format!("{numbers} {statement}"));
    sqlx::query(insert).execute(pool).await.unwrap();
}

/// Waits until a table has so many rows.
async fn until(pool: &PgPool, service: &str, table: &str, rows: i64) {
    let deadline = Instant::now() + SWEPT_WITHIN;
    loop {
        let there = count(pool, table).await;
        if there == rows {
            return;
        }
        assert!(Instant::now() < deadline, "{service} {table} has {there} rows instead of {rows}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn no_table_grows_for_ever_but_with_the_business() {
    let fixture = Fixture::set_up().await;
    let mut pools = Vec::new();
    for database in &fixture.databases {
        pools.push(database.pool().await);
    }
    let variables = fixture.environment(0);
    let mut system: System = fixture.start(variables).await;

    let mut of_users = BTreeSet::new();
    for (service, pool) in THREE.iter().zip(&pools) {
        let listed: BTreeSet<String> =
            tables(service).into_iter().map(|(name, _)| name.to_owned()).collect();
        let there = "select table_name::text from information_schema.tables
                     where table_schema = 'public' and table_type = 'BASE TABLE'";
        assert_eq!(names(pool, there).await, listed, "the tables of {service}");
        let about = "select table_name::text from information_schema.columns
                     where table_schema = 'public'
                       and (column_name in ('user_id', 'session_id', 'payment_id')
                            or table_name = 'users')";
        let about = names(pool, about).await.into_iter();
        of_users.extend(about.map(|table| format!("{service} {table}")));
    }
    // Ids of sessions alone, which are nobody's once they have ended.
    of_users.remove("user-service ended_sessions");
    assert_eq!(of_users, OF_USERS.iter().map(|(table, _)| (*table).to_owned()).collect());

    for service in [&mut system.users, &mut system.payments, &mut system.notifications] {
        service.kill();
    }
    let user = "insert into users (id, email, name, status, email_deliverable, version, created_at,
                                   updated_at)
                values (gen_random_uuid(), 'ada@example.com', 'Ada', 'active', true, 1, now(), now())";
    sqlx::query(user).execute(&pools[0]).await.unwrap();
    for (service, pool) in THREE.iter().zip(&pools) {
        for (_, rows) in tables(service) {
            if let Swept(statement) | WorkedOff(statement) = rows {
                fill(pool, statement).await;
            }
        }
    }
    tokio::join!(system.users.restart(), system.payments.restart(), system.notifications.restart());
    for (service, pool) in THREE.iter().zip(&pools) {
        for (table, rows) in tables(service) {
            let left = match rows {
                Swept(_) => YOUNG,
                WorkedOff(_) => 0,
                Kept => continue,
            };
            until(pool, service, table, left).await;
        }
    }
}
