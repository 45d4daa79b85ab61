//! Background work of the service's own: answering requests for another password, removing sessions and
//! tokens whose time is up, and publishing which sessions have ended.

use std::convert::Infallible;
use std::time::Duration;

use chassis::database::drain;
use chassis::worker::{self, Step, Worker, WorkerSettings};
use chassis::{CancellationToken, Interval, database};
use platform::EndedFeed;
use uuid::Uuid;

use crate::error::Error;
use crate::store::Store;

/// Delay between two looks for sessions that have ended.
const PUBLISH_DELAY: Duration = Duration::from_secs(1);
/// Sessions that are published at a time.
const PUBLISHED_AT_ONCE: u16 = 1_000;
/// Second factors that are sealed anew in one transaction.
const RESEALED_AT_ONCE: i64 = 100;
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
        let concurrency = 1;
        let lease = Duration::ZERO;
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
    let flows = async |limit| store.sweep_external_flows(limit).await;
    tokio::join!(
        worker::sweep("sessions and refresh tokens", interval, &shutdown, sessions),
        worker::sweep("tokens of mails", interval, &shutdown, tokens),
        worker::sweep("flows by the external issuer", interval, &shutdown, flows),
    );
    Ok(())
}

/// Seals the secrets of second factors anew that were sealed with a former key, at once and then every
/// `interval`, until `shutdown`. Once none is left the former key can go from the settings.
pub(crate) async fn reseal(
    store: Store,
    interval: Interval,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    worker::every(interval, &shutdown, async || match reseal_all(&store, &shutdown).await {
        Ok(0) => {}
        Ok(resealed) => {
            tracing::info!(resealed, "secrets of second factors were sealed with the key of today");
        }
        Err(error) => {
            tracing::error!(error = %error, "secrets of second factors were not sealed anew");
        }
    })
    .await;
    Ok(())
}

/// Goes through all users once; gives how many were sealed anew.
async fn reseal_all(store: &Store, shutdown: &CancellationToken) -> Result<u64, Error> {
    let mut count = 0;
    let mut after = Uuid::nil();
    while !shutdown.is_cancelled() {
        let resealed = store.reseal_second_factors(after, RESEALED_AT_ONCE).await?;
        count += resealed.count;
        let Some(last) = resealed.last else { break };
        after = last;
    }
    Ok(count)
}

/// Tells all services, each second until `shutdown`, which sessions have ended: rows that were written
/// with the end itself, so that none is lost. Several replicas may publish the same one, which does no harm.
pub(crate) async fn publish_ended_sessions(
    store: Store,
    feed: EndedFeed,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    let (mut was_published, mut served_by) = (true, String::new());
    loop {
        let published = publish_new(&store, &feed, &mut served_by, &shutdown).await;
        if let Err(cause) = &published
            && was_published
        {
            tracing::warn!(
                cause,
                "other services are not told which sessions ended; tried again each second"
            );
        }
        was_published = published.is_ok();
        // Whatever is left is published before the process ends, where that can be.
        if shutdown.run_until_cancelled(tokio::time::sleep(PUBLISH_DELAY)).await.is_none() {
            let _tried = publish_new(&store, &feed, &mut served_by, &shutdown).await;
            return Ok(());
        }
    }
}

/// One look: publishes all that is new; everything, where Redis has lost it, or another process serves than
/// `served_by`, the one of the look before.
async fn publish_new(
    store: &Store,
    feed: &EndedFeed,
    served_by: &mut String,
    shutdown: &CancellationToken,
) -> Result<(), &'static str> {
    let of_database = |error: Error| match error {
        Error::Database(error) => database::kind(&error),
        _ => "database fault",
    };
    let limit = i64::from(PUBLISHED_AT_ONCE);
    let sweep = async |limit| store.sweep_ended(feed.kept(), limit).await;
    drain(shutdown, sweep).await.map_err(of_database)?;
    let serves = feed.served_by().await.map_err(|error| error.kind())?;
    if *served_by != serves || !feed.is_there().await.map_err(|error| error.kind())? {
        store.mark_unpublished().await.map_err(of_database)?;
        *served_by = serves;
    }
    loop {
        let unpublished = store.unpublished_sessions(limit).await.map_err(of_database)?;
        feed.publish(&unpublished).await.map_err(|error| error.kind())?;
        store.mark_published(&unpublished).await.map_err(of_database)?;
        if unpublished.len() < usize::from(PUBLISHED_AT_ONCE) {
            return Ok(());
        }
    }
}
