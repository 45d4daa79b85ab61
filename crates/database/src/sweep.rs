//! Removing rows that are past their time, however many there are, without taking the database away
//! from others.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// Rows of one batch.
const BATCH_ROWS: i64 = 1_000;
/// The shortest delay between two batches.
const DELAY_MIN: Duration = Duration::from_millis(1);

/// Does `batch` until one is short or `shutdown`; tells how many rows were removed in all.
///
/// `batch` is told how many rows it may remove, 1,000, and tells how many it did. It is one statement
/// that passes over locked rows (`for update skip locked`), so that replicas which sweep at the same
/// time remove different ones. Between two batches there is a delay as long as the one before took:
/// at most one connection is used, and that half of the time.
///
/// # Errors
/// That of the first batch that fails; those before it are done.
pub async fn drain<E, Batch: Future<Output = Result<u64, E>>>(
    shutdown: &CancellationToken,
    batch: impl Fn(i64) -> Batch,
) -> Result<u64, E> {
    let mut removed = 0;
    loop {
        let began = Instant::now();
        let rows = batch(BATCH_ROWS).await?;
        removed += rows;
        if rows < BATCH_ROWS.unsigned_abs() {
            return Ok(removed);
        }
        let delay = tokio::time::sleep(began.elapsed().max(DELAY_MIN));
        if shutdown.run_until_cancelled(delay).await.is_none() {
            return Ok(removed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Drains this many rows; `shutdown` comes with the batch of that number.
    async fn drained(rows: u64, last_batch: u64) -> (Result<u64, &'static str>, u64) {
        let left = AtomicU64::new(rows);
        let batches = AtomicU64::new(0);
        let shutdown = CancellationToken::new();
        let drained = drain(&shutdown, async |limit| {
            if batches.fetch_add(1, Ordering::Relaxed) + 1 == last_batch {
                shutdown.cancel();
            }
            let rows = left.load(Ordering::Relaxed).min(limit.unsigned_abs());
            left.fetch_sub(rows, Ordering::Relaxed);
            Ok(rows)
        });
        (drained.await, batches.into_inner())
    }

    #[tokio::test]
    async fn batches_follow_each_other_until_one_is_short() {
        assert_eq!(drained(0, 99).await, (Ok(0), 1));
        assert_eq!(drained(3_500, 99).await, (Ok(3_500), 4));
        assert_eq!(drained(4_000, 99).await, (Ok(4_000), 5));
    }

    #[tokio::test]
    async fn shutdown_ends_it_after_the_batch_that_is_under_way() {
        assert_eq!(drained(3_500, 2).await, (Ok(2_000), 2));
    }

    #[tokio::test]
    async fn a_batch_that_fails_ends_it() {
        let shutdown = CancellationToken::new();
        let drained = drain(&shutdown, async |_| Err("the database is away"));
        assert_eq!(drained.await, Err("the database is away"));
    }
}
