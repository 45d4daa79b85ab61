//! Tokens for calls are kept, renewed in time, and survive an issuer that is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use auth::{Caller, IssueError, ServiceTokens, Token, TokenIssuer};
use chassis::Clock;
use futures_util::future::{BoxFuture, join_all};

use crate::fixture::{clock, tokens};

const LIFE: Duration = Duration::from_secs(1000);

/// Issues numbered tokens that live for `LIFE`, after a while; fails while it is told to.
#[derive(Clone)]
struct Issuer {
    clock: Clock,
    issued: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
    is_away: Arc<AtomicBool>,
}

impl TokenIssuer for Issuer {
    fn issue<'a>(&'a self, target: &'a str) -> BoxFuture<'a, Result<Token, IssueError>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            if self.is_away.load(Ordering::SeqCst) {
                return Err(IssueError::new(target, "away"));
            }
            let number = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
            let expires_at = self.clock.now() + LIFE;
            Ok(Token {
                value: format!("{target}-{number}").into(),
                lifetime: LIFE,
                expires_at,
                id: None,
            })
        })
    }
}

fn issuer(clock: &Clock) -> Issuer {
    let count = Arc::<AtomicUsize>::default;
    Issuer { clock: clock.clone(), issued: count(), asked: count(), is_away: Arc::default() }
}

async fn value(tokens: &ServiceTokens) -> String {
    tokens.token("user-service").await.unwrap().expose().clone()
}

#[tokio::test(start_paused = true)]
async fn a_token_is_kept_for_its_target_and_renewed_before_it_ends() {
    let clock = clock();
    let tokens = ServiceTokens::new(issuer(&clock), clock.clone());
    assert_eq!(value(&tokens).await, "user-service-1");
    clock.advance(LIFE.mul_f64(0.74));
    assert_eq!(value(&tokens).await, "user-service-1");
    assert_eq!(tokens.token("x").await.unwrap().expose(), "x-2");
    clock.advance(LIFE.mul_f64(0.12));
    assert_eq!(value(&tokens).await, "user-service-3");
}

#[tokio::test(start_paused = true)]
async fn many_callers_cause_one_issue_and_nobody_waits_for_a_renewal() {
    let clock = clock();
    let issuer = issuer(&clock);
    let tokens = ServiceTokens::new(issuer.clone(), clock.clone());
    let first = join_all((0..50).map(|_| value(&tokens))).await;
    assert!(first.iter().all(|token| token == "user-service-1"), "{first:?}");
    clock.advance(LIFE.mul_f64(0.9));
    let mut second = join_all((0..50).map(|_| value(&tokens))).await;
    second.sort();
    assert_eq!((second[48].as_str(), second[49].as_str()), ("user-service-1", "user-service-2"));
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_token_is_used_to_its_end_when_none_can_be_had() {
    let clock = clock();
    let issuer = issuer(&clock);
    let tokens = ServiceTokens::new(issuer.clone(), clock.clone());
    value(&tokens).await;
    issuer.is_away.store(true, Ordering::SeqCst);
    clock.advance(LIFE.mul_f64(0.9));
    for _ in 0..20 {
        assert_eq!(value(&tokens).await, "user-service-1");
    }
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 2, "left alone for a second");
    clock.advance(LIFE.mul_f64(0.1));
    let error = tokens.token("user-service").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no token for user-service: away");

    issuer.is_away.store(false, Ordering::SeqCst);
    clock.advance(Duration::from_secs(1));
    assert_eq!(value(&tokens).await, "user-service-2");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_its_target_refuses_is_replaced_once_a_second_at_most() {
    let clock = clock();
    let tokens = ServiceTokens::new(issuer(&clock), clock.clone());
    let first = tokens.token("user-service").await.unwrap();
    tokens.refused("user-service", &first);
    assert_eq!(value(&tokens).await, "user-service-1");
    clock.advance(Duration::from_secs(1));
    tokens.refused("user-service", &first);
    let second = tokens.token("user-service").await.unwrap();
    assert_eq!(second.expose(), "user-service-2");
    clock.advance(Duration::from_secs(1));
    tokens.refused("user-service", &first);
    assert_eq!(value(&tokens).await, "user-service-2");
}

#[tokio::test(start_paused = true)]
async fn callers_who_waited_for_a_failure_share_it() {
    let clock = clock();
    let issuer = issuer(&clock);
    issuer.is_away.store(true, Ordering::SeqCst);
    let tokens = ServiceTokens::new(issuer.clone(), clock);
    let all = join_all((0..50).map(|_| tokens.token("user-service"))).await;
    assert!(all.iter().all(Result::is_err));
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_hangs_is_given_up_and_a_caller_that_leaves_hands_on() {
    struct Hanging;
    impl TokenIssuer for Hanging {
        fn issue<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Token, IssueError>> {
            Box::pin(std::future::pending())
        }
    }
    let clock = clock();
    let tokens = ServiceTokens::new(Hanging, clock.clone());
    let leaving = tokio::time::timeout(Duration::from_secs(1), tokens.token("user-service"));
    let (left, waited) = tokio::join!(leaving, tokens.token("user-service"));
    assert!(left.is_err());
    assert!(waited.unwrap_err().reason.contains("in time"));
}

#[tokio::test]
async fn a_service_that_holds_the_key_signs_its_own() {
    let clock = clock();
    let issued = ServiceTokens::new(tokens("payment-service", &clock), clock.clone());
    let token = issued.token("user-service").await.unwrap();
    let caller = tokens("user-service", &clock).verify(token.expose()).unwrap();
    assert!(matches!(caller, Caller::Service(service) if service.name == "payment-service"));
}

#[tokio::test]
async fn targets_are_bounded() {
    let clock = clock();
    let tokens = ServiceTokens::new(tokens("payment-service", &clock), clock);
    for number in 0..64 {
        tokens.token(&format!("service-{number}")).await.unwrap();
    }
    assert!(tokens.token("one-more").await.unwrap_err().reason.contains("too many"));
    assert!(tokens.token("service-7").await.is_ok());
}
