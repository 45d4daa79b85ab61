//! What replicas count together, and what each counts alone.

use std::time::Duration;

use rate_limit::By;
use testkit::{Proxy, eventually};

use crate::support::{Replica, limit, unique};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn two_replicas_share_a_limit_by_address() {
    let redis = testkit::redis_url();
    let secret = unique("secret");
    let limits = [limit(By::Address, 5, HOUR)];
    let replicas = [&secret; 2].map(|secret| Replica::at(&redis, secret, &limits));
    let mut admitted = 0;
    for _ in 0..5 {
        for replica in &replicas {
            admitted += replica.admitted(1, "192.0.2.1", "").await;
        }
    }
    assert_eq!(admitted, 5);
    assert_eq!(replicas[0].admitted(1, "192.0.2.2", "").await, 1, "another address");
}

#[tokio::test]
async fn clients_of_one_ipv6_network_share_a_limit() {
    let replica =
        Replica::at(&testkit::redis_url(), &unique("secret"), &[limit(By::Address, 2, HOUR)]);
    assert_eq!(replica.admitted(1, "2001:db8::1", "").await, 1);
    assert_eq!(replica.admitted(2, "2001:db8:0:ff::2:1", "").await, 1);
    assert_eq!(replica.admitted(1, "2001:db8:0:100::1", "").await, 1, "another network");
}

#[tokio::test]
async fn an_account_is_counted_whatever_address_names_it() {
    let limits = [limit(By::Address, 100, HOUR), limit(By::Account, 3, HOUR)];
    let replica = Replica::at(&testkit::redis_url(), &unique("secret"), &limits);
    assert_eq!(replica.admitted(2, "192.0.2.1", "ada@example.com").await, 2);
    assert_eq!(replica.admitted(2, "192.0.2.2", "ada@example.com").await, 1);
    assert_eq!(replica.admitted(1, "192.0.2.2", "bob@example.com").await, 1);
}

#[tokio::test]
async fn answers_tell_what_is_left_and_a_refusal_when_to_come_again() {
    let limits = [limit(By::Address, 2, HOUR), limit(By::Account, 9, Duration::from_secs(60))];
    let replica = Replica::at(&testkit::redis_url(), &unique("secret"), &limits);
    let answer = replica.post("192.0.2.1", "ada@example.com").await;
    let policy = "\"address-1h\";q=2;w=3600, \"account-1m\";q=9;w=60";
    assert_eq!(answer.headers()["ratelimit-policy"], policy);
    assert_eq!(answer.headers()["ratelimit"], "\"address-1h\";r=1;t=1800, \"account-1m\";r=8;t=7");
    replica.post("192.0.2.1", "").await;
    let refused = replica.post("192.0.2.1", "").await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    let left = refused.headers()["ratelimit"].to_str().unwrap();
    assert!(left.starts_with("\"address-1h\";r=0;t=3"), "{left}");
    let retry_after: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=1_800).contains(&retry_after), "{retry_after}");
}

#[tokio::test]
async fn without_redis_each_replica_counts_alone_and_together_again_once_it_is_back() {
    let redis = testkit::redis_url();
    let proxy = Proxy::start(redis.trim_start_matches("redis://")).await;
    let secret = unique("secret");
    let limits = [limit(By::Address, 5, HOUR)];
    let behind = format!("redis://{}", proxy.address());
    let replicas = [&behind; 2].map(|redis| Replica::at(redis, &secret, &limits));
    assert_eq!(replicas[0].admitted(3, "192.0.2.1", "").await, 3);

    proxy.cut().await;
    assert_eq!(replicas[0].admitted(9, "192.0.2.1", "").await, 2, "it has counted three");
    assert_eq!(replicas[1].admitted(9, "192.0.2.1", "").await, 5, "it has counted none");

    proxy.restore().await;
    let mut addresses = 1..250;
    eventually("both count together again", async || {
        let [one, other] = &replicas;
        let from = format!("198.51.100.{}", addresses.next()?);
        let one = one.post(&from, "").await;
        let other = other.post(&from, "").await;
        let left = |answer: &http::Response<_>| answer.headers()["ratelimit"].clone();
        (left(&one) != left(&other)).then_some(())
    })
    .await;
    assert_eq!(replicas[0].admitted(9, "192.0.2.1", "").await, 2);
    assert_eq!(replicas[1].admitted(9, "192.0.2.1", "").await, 0);
}

#[tokio::test]
async fn no_key_in_redis_tells_an_address_or_an_account_and_each_expires() {
    let redis = testkit::redis_url();
    let secret = unique("secret");
    let limits = [limit(By::Address, 5, HOUR), limit(By::Account, 5, HOUR)];
    let replica = Replica::at(&redis, &secret, &limits);
    replica.post("192.0.2.77", "canary@example.com").await;
    let client = redis::Client::open(redis).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("service_cache:rate-limit-test:*")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        assert!(!key.contains("192.0.2.77") && !key.contains("canary"), "{key}");
        let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
        // -2: gone since it was listed.
        assert!(left > 0 || left == -2, "{key} never expires");
    }
}
