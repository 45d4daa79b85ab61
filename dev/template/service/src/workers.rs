//! Background work of the service's own: removing what has been closed for long.

use std::convert::Infallible;

use chassis::{CancellationToken, worker};

use crate::config::SweepSettings;
use crate::store::Store;

/// Rows removed by one statement at most.
const SWEEP_BATCH: i64 = 1_000;

/// Sweeps until `shutdown`. A fault is logged; the next round tries again.
pub(crate) async fn sweep(
    store: Store,
    settings: SweepSettings,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    worker::every(settings.interval, &shutdown, async || {
        match store.sweep(settings.retention, SWEEP_BATCH).await {
            Ok(0) => {}
            Ok(swept) => tracing::info!(samples.swept = swept, "closed samples removed"),
            Err(error) => tracing::warn!(error = %error, "closed samples could not be removed"),
        }
    })
    .await;
    Ok(())
}
