//! What every provider has to do, whatever stands behind it.

use std::collections::BTreeSet;

use discovery::{Discovery, DiscoverySettings};
use tokio_util::sync::CancellationToken;

use crate::support::{
    OTHER, PORT, Running, SERVICE, host, provider_errors, services, unchecked, until, until_broken,
};

/// A provider's server and how it is changed. Each test makes one.
pub(crate) trait Server {
    fn discovery(&self) -> Discovery;

    /// From now on it has exactly these instances.
    async fn hold(&mut self, numbers: &[u8]);

    /// It does not answer any more.
    async fn go_down(&mut self);

    /// It answers again, whatever it remembers.
    async fn come_back(&mut self);
}

/// A server that takes registrations.
pub(crate) trait RegistrationServer: Server {
    /// Who is registered, asked for without our provider.
    async fn registered(&self) -> BTreeSet<u8>;

    /// It forgets all registrations.
    async fn forget(&mut self);
}

/// The number under which the test's own process registers.
const OWN: u8 = 9;

pub(crate) fn discovery(settings: &DiscoverySettings) -> Discovery {
    let settings = DiscoverySettings { advertise_host: host(OWN), ..settings.clone() };
    let services = services("localhost", PORT);
    Discovery::new(&settings, &services, &unchecked(), &[SERVICE, OTHER]).unwrap()
}

/// With two services, each of which is watched by itself: instances come and go; while the server is away the last set stays; when it is back the set
/// follows again.
pub(crate) async fn conforms(server: &mut impl Server) {
    server.hold(&[1]).await;
    let running = Running::of(server.discovery());
    running.until_known(&[1]).await;
    server.hold(&[1, 2]).await;
    running.until_known(&[1, 2]).await;
    server.hold(&[2]).await;
    running.until_known(&[2]).await;

    let before = provider_errors();
    server.go_down().await;
    until_broken(before + 1).await;
    assert_eq!(running.known(), BTreeSet::from([2]));

    server.come_back().await;
    server.hold(&[2, 3]).await;
    running.until_known(&[2, 3]).await;
    server.hold(&[3]).await;
    running.until_known(&[3]).await;
}

/// A process is seen while it is registered, again after the server lost it, and no longer once it
/// drains.
pub(crate) async fn registers(server: &mut impl RegistrationServer) {
    let running = Running::of(server.discovery());
    let draining = CancellationToken::new();
    let registration = server.discovery().registration(SERVICE, PORT, "1.0.0");
    let kept = tokio::spawn(registration.run(draining.clone()));
    running.until_known(&[OWN]).await;

    server.forget().await;
    assert_eq!(server.registered().await, BTreeSet::new());
    while server.registered().await.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    running.until_known(&[OWN]).await;

    draining.cancel();
    kept.await.unwrap().unwrap();
    assert_eq!(server.registered().await, BTreeSet::new());
    until("the draining process is gone", || running.known().is_empty()).await;
}
