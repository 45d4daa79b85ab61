//! Guessing at one account.

use std::time::Duration;

use rate_limit::{Backoff, BackoffSettings};

use crate::support::{Replica, client, is_limited, unique};

const HOUR: Duration = Duration::from_secs(3_600);

fn settings() -> BackoffSettings {
    BackoffSettings {
        free_failures: 3,
        initial_delay: HOUR / 2,
        max_delay: HOUR,
        forget_after: HOUR,
        account_tries: 20,
        account_per: HOUR,
        known_for: HOUR,
    }
}

fn backoff(redis: &str, secret: &str) -> Backoff {
    Backoff::new(&Replica::at(redis, secret, &[]).limits, "POST /things", &settings())
}

/// A Redis, and an address where there is none.
async fn with_and_without() -> [String; 2] {
    let proxy = testkit::Proxy::start("127.0.0.1:9").await;
    proxy.cut().await;
    [testkit::redis_url(), format!("redis://{}", proxy.address())]
}

/// How many of so many tries are admitted that all fail.
async fn failing(backoff: &Backoff, tries: usize, account: &str, from: &str) -> usize {
    let mut admitted = 0;
    for _ in 0..tries {
        admitted += usize::from(backoff.attempt(account, client(from)).await.is_ok());
    }
    admitted
}

#[tokio::test]
async fn a_thousand_guesses_from_one_address_are_tried_as_often_as_failures_are_free() {
    for redis in with_and_without().await {
        let backoff = backoff(&redis, &unique("secret"));
        assert_eq!(failing(&backoff, 1_000, "ada", "192.0.2.1").await, 3, "{redis}");
        assert_eq!(failing(&backoff, 9, "ada", "192.0.2.2").await, 3, "another address");
        assert_eq!(failing(&backoff, 9, "bob", "192.0.2.1").await, 3, "another account");
    }
}

#[tokio::test]
async fn guesses_at_one_time_are_tried_as_often_as_one_after_the_other() {
    for redis in with_and_without().await {
        let backoff = &backoff(&redis, &unique("secret"));
        let guesses = (0..100).map(|_| backoff.attempt("ada", client("192.0.2.1")));
        let mut admitted = 0;
        for guess in futures_util::future::join_all(guesses).await {
            admitted += usize::from(guess.is_ok());
        }
        assert_eq!(admitted, 3, "{redis}");
    }
}

#[tokio::test]
async fn guesses_from_many_addresses_are_bounded_and_shut_out_no_address_that_the_account_knows() {
    for redis in with_and_without().await {
        let backoff = backoff(&redis, &unique("secret"));
        backoff.attempt("ada", client("198.51.100.1")).await.unwrap().succeeded().await;
        let mut admitted = 0;
        for number in 0..200 {
            admitted += failing(&backoff, 1, "ada", &format!("192.0.2.{number}")).await;
        }
        assert_eq!(admitted, 19, "{redis}: one of twenty was the owner's");
        assert!(is_limited(&backoff.attempt("ada", client("203.0.113.1")).await));
        let owner = backoff.attempt("ada", client("198.51.100.1")).await;
        owner.unwrap().succeeded().await;
    }
}

#[tokio::test]
async fn a_success_forgets_the_failures_before_it_and_what_came_to_nothing_counts_as_none() {
    for redis in with_and_without().await {
        let backoff = backoff(&redis, &unique("secret"));
        for _ in 0..4 {
            assert_eq!(failing(&backoff, 2, "ada", "192.0.2.1").await, 2, "{redis}");
            backoff.attempt("ada", client("192.0.2.1")).await.unwrap().succeeded().await;
        }
        for _ in 0..9 {
            backoff.attempt("ada", client("192.0.2.1")).await.unwrap().undo().await;
        }
        assert_eq!(failing(&backoff, 9, "ada", "192.0.2.1").await, 3, "{redis}");
    }
}

#[tokio::test]
async fn tries_that_came_to_nothing_shut_nobody_out_of_an_account() {
    for redis in with_and_without().await {
        let backoff = backoff(&redis, &unique("secret"));
        for number in 0..40 {
            let from = client(&format!("192.0.2.{number}"));
            backoff.attempt("ada", from).await.expect("no try before failed").undo().await;
        }
    }
}

#[tokio::test]
async fn replicas_share_the_failures_of_an_account() {
    let redis = testkit::redis_url();
    let secret = unique("secret");
    let one = backoff(&redis, &secret);
    let other = backoff(&redis, &secret);
    assert_eq!(failing(&one, 2, "ada", "192.0.2.1").await, 2);
    assert_eq!(failing(&other, 9, "ada", "192.0.2.1").await, 1);
    let refused = one.attempt("ada", client("192.0.2.1")).await.err().unwrap();
    assert!(refused.retry_after > HOUR / 4 && refused.retry_after <= HOUR / 2);
}
