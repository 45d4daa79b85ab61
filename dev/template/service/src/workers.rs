//! Background work of the service's own: removing what has been closed for long.

use std::convert::Infallible;

use chassis::{CancellationToken, worker};

use crate::config::SweepSettings;
use crate::store::Store;

/// Sweeps until `shutdown`.
pub(crate) async fn sweep(
    store: Store,
    settings: SweepSettings,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    let batch = async |limit| store.sweep(settings.retention, limit).await;
    worker::sweep("closed samples", settings.interval, &shutdown, batch).await;
    Ok(())
}
