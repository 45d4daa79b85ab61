//! Waiting for a condition, never for a time.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(25);
/// After which the condition is taken not to come. Far above what anything here takes, since a
/// loaded machine is slow and a test that fails now and then is worse than one that fails late.
const LIMIT: Duration = Duration::from_secs(20);

/// Looks every 25 ms until `probe` gives a value; panics with `what` when it has not within 20 s.
///
/// `what` completes the sentence "waited 20 s in vain until …": `"the payment has succeeded"`.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // A probe that hangs counts as one that found nothing.
        if let Ok(Some(value)) = timeout(left, probe()).await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {} s in vain until {what}", LIMIT.as_secs());
        sleep(INTERVAL).await;
    }
}
