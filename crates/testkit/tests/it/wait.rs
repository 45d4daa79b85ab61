//! Waiting for conditions.

use std::cell::Cell;
use std::time::Duration;

use testkit::eventually;
use tokio::time::Instant;

#[tokio::test]
async fn waiting_ends_with_the_first_value() {
    let looks = Cell::new(0);
    let value = eventually("the third look", async || {
        looks.set(looks.get() + 1);
        (looks.get() == 3).then_some("found")
    })
    .await;
    assert_eq!((value, looks.get()), ("found", 3));
}

#[tokio::test]
async fn a_plain_closure_that_returns_a_future_will_do() {
    assert_eq!(eventually("at once", || async { Some(7) }).await, 7);
}

#[tokio::test(start_paused = true)]
async fn waiting_in_vain_says_for_what_after_twenty_seconds() {
    let started = Instant::now();
    let waiting = tokio::spawn(eventually("pigs can fly", || async { None::<()> }));
    let panic = waiting.await.unwrap_err().into_panic();
    let message = panic.downcast::<String>().unwrap();
    assert_eq!(*message, "waited 20 s in vain until pigs can fly");
    assert!(started.elapsed() < Duration::from_secs(21));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_is_one_in_vain() {
    let hanging = tokio::spawn(eventually("it answers", std::future::pending::<Option<()>>));
    assert!(hanging.await.unwrap_err().is_panic());
}
