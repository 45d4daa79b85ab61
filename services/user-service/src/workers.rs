//! Background work of the service's own: removing sessions whose time is up.

use std::convert::Infallible;

use chassis::{CancellationToken, Interval, worker};

use crate::store::Store;

/// Sessions removed by one statement at most.
const SWEEP_BATCH: i64 = 1_000;

/// Sweeps every `interval` until `shutdown`. A fault is logged and the next round tries again.
pub(crate) async fn sweep_sessions(
    store: Store,
    interval: Interval,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    worker::every(interval, &shutdown, async || match store.sweep_sessions(SWEEP_BATCH).await {
        Ok(0) => {}
        Ok(swept) => tracing::info!(sessions.swept = swept, "expired sessions removed"),
        Err(error) => tracing::warn!(error = %error, "sessions could not be swept"),
    })
    .await;
    Ok(())
}
