//! Background work of the service's own: removing sessions and tokens whose time is up.

use std::convert::Infallible;

use chassis::{CancellationToken, Interval, worker};

use crate::error::Error;
use crate::store::Store;

/// Rows removed by one statement at most.
const SWEEP_BATCH: i64 = 1_000;

/// Sweeps every `interval` until `shutdown`. A fault is logged and the next round tries again.
pub(crate) async fn sweep_sessions(
    store: Store,
    interval: Interval,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    worker::every(interval, &shutdown, async || match sweep(&store, &shutdown).await {
        Ok((0, 0)) => {}
        Ok((tokens, sessions)) => tracing::info!(
            sessions.swept = sessions,
            tokens.swept = tokens,
            "expired sessions and refresh tokens removed"
        ),
        Err(error) => tracing::warn!(error = %error, "sessions could not be swept"),
    })
    .await;
    Ok(())
}

/// Removes batch after batch until one is short or `shutdown`; tells how many tokens and sessions
/// went. Tokens first: each expires before its session does, so that few are left to go with it.
async fn sweep(store: &Store, shutdown: &CancellationToken) -> Result<(u64, u64), Error> {
    let (mut tokens, mut sessions) = (0, 0);
    loop {
        let swept = store.sweep_tokens(SWEEP_BATCH).await?;
        tokens += swept;
        if swept < SWEEP_BATCH.unsigned_abs() || shutdown.is_cancelled() {
            break;
        }
    }
    loop {
        let swept = store.sweep_sessions(SWEEP_BATCH).await?;
        sessions += swept;
        if swept < SWEEP_BATCH.unsigned_abs() || shutdown.is_cancelled() {
            return Ok((tokens, sessions));
        }
    }
}
