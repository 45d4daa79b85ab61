//! Background work of the service's own: answering requests for another password, and removing
//! sessions and tokens whose time is up.

use std::convert::Infallible;
use std::time::Duration;

use chassis::worker::{self, Step, Worker, WorkerSettings};
use chassis::{CancellationToken, Interval};

use crate::error::Error;
use crate::store::Store;

/// How long a request waits at most that another process has kept, and not worked on.
const POLL_INTERVAL: Duration = Duration::from_secs(30);

/// Sends mails with which another password can be set. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ResetRequests {
    store: Store,
    settings: WorkerSettings,
}

impl Worker for ResetRequests {
    type Error = Error;

    async fn due(&self) {
        self.store.reset_requested().await;
    }

    async fn step(&self) -> Result<Step, Error> {
        let worked = self.store.take_reset_request().await?;
        Ok(if worked { Step::Worked } else { Step::Idle })
    }
}

impl ResetRequests {
    pub(crate) fn new(store: Store) -> Result<Self, &'static str> {
        // A row is worked on in the transaction that takes it up: there is no lease.
        let (concurrency, lease) = (1, Duration::ZERO);
        let poll_interval = Interval::try_from(POLL_INTERVAL)?;
        Ok(Self { store, settings: WorkerSettings { concurrency, poll_interval, lease } })
    }

    /// Works until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        worker::run(&self, &self.settings, &shutdown).await;
        Ok(())
    }
}

/// Sweeps every `interval` until `shutdown`.
pub(crate) async fn sweep_sessions(
    store: Store,
    interval: Interval,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    let sessions = async |limit| store.sweep_sessions(limit).await;
    let tokens = async |limit| store.sweep_mail_tokens(limit).await;
    tokio::join!(
        worker::sweep("sessions and refresh tokens", interval, &shutdown, sessions),
        worker::sweep("tokens of mails", interval, &shutdown, tokens),
    );
    Ok(())
}
