//! Background work of the service's own: removing sessions and tokens whose time is up.

use std::convert::Infallible;

use chassis::{CancellationToken, Interval, worker};

use crate::store::Store;

/// Sweeps every `interval` until `shutdown`.
pub(crate) async fn sweep_sessions(
    store: Store,
    interval: Interval,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    let batch = async |limit| store.sweep_sessions(limit).await;
    worker::sweep("sessions and refresh tokens", interval, &shutdown, batch).await;
    Ok(())
}
