//! A stranger against the running services: every route, with everything that a client may send and
//! no server may believe. Nothing is written, nothing fails, nothing counts as our fault, and a
//! signed-in user is served all the while.

mod stranger;

use std::collections::BTreeMap;

use reqwest::Method;
use sqlx::PgPool;
use testkit::{ServiceProcess, eventually};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::security::stranger::{Stranger, routes};
use crate::system::{Fixture, Signed, System};

/// Connections on which the stranger says half of something, to each service.
const IDLE: usize = 40;
/// What a caller who ran out of patience would have sent.
const HALVES: [&str; 2] = [
    "GET /api/users/me HTTP/1.1\r\nhost: x\r\n",
    "POST /api/sessions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
];
/// What the requests of strangers may write: nothing of anybody's, but that they were there.
const TRAILS: [&str; 1] = ["audit%"];

#[tokio::test]
async fn a_stranger_writes_nothing_breaks_nothing_and_is_never_counted_as_our_fault() {
    let mut fixture = Fixture::set_up().await;
    // The stranger is no proxy, though on the same machine.
    fixture.settings.push(("TRACING_PROXIES", "192.0.2.1".to_owned()));
    let mut pools = Vec::new();
    for database in &fixture.databases {
        pools.push(database.pool().await);
    }
    let variables = fixture.environment(0);
    let system = fixture.start(variables.clone()).await;
    let victim = with_a_past(&system).await;
    let stranger = Stranger::new(&system, &variables, &victim).await;
    let before = settled(&pools).await;
    let charges = system.simulator.charges().len();
    let halves = say_half(&system).await;

    let mut asked = 0;
    for service in services(&system) {
        for route in routes(&system, service).await {
            for trick in stranger.tricks(service, &route) {
                let answer = trick.send().await;
                answer.assert_no_fault();
                asked += 1;
            }
        }
        is_served(&system, &victim).await;
    }

    assert!(asked > 300, "{asked} requests were sent");
    assert_eq!(rows(&pools).await, before, "a stranger wrote something");
    assert_eq!(system.simulator.charges().len(), charges, "a stranger was charged for");
    for service in services(&system) {
        assert_eq!(faults(&system, service).await, BTreeMap::new(), "{}", service.name());
        let log = service.log();
        for forged in [stranger::TRACE, stranger::REQUEST_ID, stranger::MARK] {
            assert!(!log.contains(forged), "{}'s log has {forged}", service.name());
        }
    }
    drop(halves);
}

fn services(system: &System) -> [&ServiceProcess; 3] {
    [&system.users, &system.payments, &system.notifications]
}

/// A user who has paid, and has the receipt.
async fn with_a_past(system: &System) -> Signed {
    let user = system.new_user().await;
    let paid = eventually("the customer is known", async || {
        let key = Uuid::now_v7().to_string();
        let answer = system.pay(&user.token, &key, "pm_card_visa").await;
        (answer.status() == 201).then_some(())
    });
    paid.await;
    system.until_sent(&user.token, "payment_receipt").await;
    user
}

/// Connections that say half of a request and stay.
async fn say_half(system: &System) -> Vec<TcpStream> {
    let mut halves = Vec::new();
    for service in services(system) {
        for number in 0..IDLE {
            let mut half = TcpStream::connect(("127.0.0.1", service.port())).await.unwrap();
            half.write_all(HALVES[number % HALVES.len()].as_bytes()).await.unwrap();
            halves.push(half);
        }
    }
    halves
}

async fn is_served(system: &System, victim: &Signed) {
    for url in [
        system.users.url("/api/users/me"),
        system.payments.url("/api/payments"),
        system.notifications.url("/api/notifications"),
    ] {
        let request = system.request(Method::GET, &url).bearer_auth(&victim.token);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
    }
}

/// What there is once nothing is under way.
async fn settled(pools: &[PgPool]) -> BTreeMap<String, (i64, i64)> {
    eventually("nothing is under way", async || {
        for pool in pools {
            let waiting = "select count(*) from messaging_outbox";
            if sqlx::query_scalar::<_, i64>(waiting).fetch_one(pool).await.unwrap() > 0 {
                return None;
            }
        }
        let before = rows(pools).await;
        let after = rows(pools).await;
        (before == after).then_some(after)
    })
    .await
}

/// Of each table, how many rows it has, and a sum of what is in them.
async fn rows(pools: &[PgPool]) -> BTreeMap<String, (i64, i64)> {
    let mut rows = BTreeMap::new();
    for (number, pool) in pools.iter().enumerate() {
        let tables = "select table_name::text from information_schema.tables
             where table_schema = 'public' and not table_name like any ($1)";
        let tables = sqlx::query_scalar::<_, String>(tables).bind(TRAILS.as_slice());
        for table in tables.fetch_all(pool).await.unwrap() {
            let sum = format!(
                "select count(*), coalesce(sum(hashtext(t::text)), 0)::bigint from \"{table}\" t"
            );
            let sum = sqlx::query_as(sqlx::AssertSqlSafe(sum)).fetch_one(pool).await.unwrap();
            rows.insert(format!("{number} {table}"), sum);
        }
    }
    rows
}

/// Requests that a service counts as its own faults, by series.
async fn faults(system: &System, service: &ServiceProcess) -> BTreeMap<String, String> {
    let request = system.request(Method::GET, &service.management_url("/metrics"));
    let text = request.send().await.unwrap().text().await.unwrap();
    let is_fault = |series: &str| {
        series.starts_with("service_requests_timed_out_total")
            || (series.starts_with("service_requests_total") && series.contains("status=\"5"))
    };
    let samples = text.lines().filter_map(|line| line.rsplit_once(' '));
    let faults = samples.filter(|(series, value)| is_fault(series) && *value != "0");
    faults.map(|(series, value)| (series.to_owned(), value.to_owned())).collect()
}
