//! The signals that end a service.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The status of a process that SIGINT ended, as shells have it.
const INTERRUPTED: i32 = 130;
/// What a second SIGINT leaves to the log.
const LOG_WITHIN: Duration = Duration::from_millis(100);

/// A token that SIGTERM or SIGINT cancels. A second SIGINT ends the process at once: somebody at a
/// terminal does not want to wait any longer.
pub(crate) fn shutdown() -> std::io::Result<CancellationToken> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    #[expect(clippy::disallowed_methods, reason = "it lives as long as the process")]
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled.cancel();
        interrupt.recv().await;
        telemetry::flush_logs(LOG_WITHIN);
        std::process::exit(INTERRUPTED);
    });
    Ok(token)
}
