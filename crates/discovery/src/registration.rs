//! The registration of a process: there while it takes calls, renewed by a heartbeat, made again
//! when the server lost it, and gone before the process stops answering.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::jitter::jittered;
use crate::provider::{Advertised, Lease, Provider, Registrar, delay};
use crate::{DiscoverySettings, ProviderError, metrics};

/// Heartbeats within the life of a registration: two may get lost.
const HEARTBEATS: u32 = 3;
/// The shortest life that leaves time for them.
const TTL_MIN: Duration = Duration::from_secs(3);
/// Longest time that a drain waits for a registration that is being made, and again for it to be gone.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Keeps a process registered. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registration {
    provider: Arc<dyn Provider>,
    own: Advertised,
}

impl Registration {
    pub(crate) fn new(
        provider: Arc<dyn Provider>,
        settings: &DiscoverySettings,
        zone: &str,
        (service, port, version): (&str, u16, &str),
    ) -> Self {
        let own = Advertised {
            service: service.to_owned(),
            host: settings.advertise_host.clone(),
            port,
            version: version.to_owned(),
            zone: zone.to_owned(),
            ttl: settings.registration_ttl.max(TTL_MIN),
        };
        Self { provider, own }
    }

    /// Registers, and stays registered until `draining`; then deregisters. Give it a token that is
    /// cancelled when the process begins to drain, not when it ends: callers need the time between
    /// to hear of it. A server that is away is tried again without end.
    ///
    /// # Errors
    /// None: trouble is waited for.
    pub async fn run(mut self, draining: CancellationToken) -> Result<(), ProviderError> {
        let provider = self.provider.clone();
        let Some(registrar) = provider.registrar() else {
            draining.cancelled().await;
            return Ok(());
        };
        let mut lease = None;
        self.keep(registrar, &mut lease, &draining).await;
        self.end(registrar, lease.as_ref()).await;
        Ok(())
    }

    /// Registers and renews until `draining`. A registration that has begun is let end, because the
    /// server may have made it already.
    async fn keep(
        &mut self,
        registrar: &dyn Registrar,
        kept: &mut Option<Lease>,
        draining: &CancellationToken,
    ) {
        let mut failures = 0;
        while !draining.is_cancelled() {
            let registered = tokio::select! {
                registered = self.register(registrar) => registered,
                () = long_after(draining) => return,
            };
            match registered {
                Ok(lease) => {
                    failures = 0;
                    self.show("registered");
                    let renewed = self.renew(registrar, kept.insert(lease));
                    let Some(error) = draining.run_until_cancelled(renewed).await else { return };
                    tracing::warn!(error = %error, "registration may be lost");
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(error = %error, failures, "not registered");
                }
            }
            metrics::registered(&self.own.service, self.provider.name(), false);
            draining.run_until_cancelled(sleep(delay(failures))).await;
        }
    }

    async fn register(&mut self, registrar: &dyn Registrar) -> Result<Lease, ProviderError> {
        if self.own.host.is_empty() {
            let (host, port) = registrar.server();
            let source = own_address(&host, port).await;
            let what = format!("find the own address towards {host}");
            self.own.host = source.map_err(|source| ProviderError::Io { what, source })?;
        }
        let lease = registrar.register(&self.own).await?;
        metrics::registered(&self.own.service, self.provider.name(), true);
        Ok(lease)
    }

    /// Renews until that fails.
    async fn renew(&self, registrar: &dyn Registrar, lease: &Lease) -> ProviderError {
        loop {
            sleep(jittered(self.own.ttl / HEARTBEATS)).await;
            if let Err(error) = registrar.renew(&self.own, lease).await {
                return error;
            }
        }
    }

    async fn end(&self, registrar: &dyn Registrar, lease: Option<&Lease>) {
        metrics::registered(&self.own.service, self.provider.name(), false);
        match timeout(DRAIN_TIMEOUT, registrar.deregister(&self.own, lease)).await {
            Ok(Ok(())) => self.show("deregistered"),
            Ok(Err(error)) => tracing::warn!(error = %error, "not deregistered: it will lapse"),
            Err(_) => tracing::warn!("not deregistered in time: it will lapse"),
        }
    }

    fn show(&self, message: &'static str) {
        tracing::info!(
            discovery.provider = self.provider.name(),
            instance.service = self.own.service,
            instance.host = self.own.host,
            instance.port = self.own.port,
            "{message}"
        );
    }
}

async fn long_after(draining: &CancellationToken) {
    draining.cancelled().await;
    sleep(DRAIN_TIMEOUT).await;
}

/// The address of this machine from which a server is reached. Nothing is sent.
async fn own_address(host: &str, port: u16) -> io::Result<String> {
    let mut error = io::Error::from(io::ErrorKind::NotFound);
    for server in tokio::net::lookup_host((host, port)).await? {
        let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await?;
        match socket.connect(server).await {
            Ok(()) => return Ok(socket.local_addr()?.ip().to_string()),
            Err(refused) => error = refused,
        }
    }
    Err(error)
}
