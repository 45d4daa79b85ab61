//! What every provider has to do, whatever stands behind it.

use std::collections::BTreeSet;

use discovery::{Discovery, DiscoverySettings};
use tokio_util::sync::CancellationToken;

use crate::support::{
    OTHER, PORT, Running, SERVICE, host, provider_errors_of, services, unchecked, until,
};

/// A provider's server and how it is changed. Each test makes one.
pub(crate) trait Server {
    fn discovery(&self) -> Discovery;

    /// From now on a service has exactly these instances.
    async fn hold(&mut self, service: &str, numbers: &[u8]);

    /// It does not answer any more.
    async fn go_down(&mut self);

    /// It answers again, whatever it remembers.
    async fn come_back(&mut self);

    /// It says nothing any more, neither anew nor on what is open.
    async fn freeze(&mut self);

    /// It goes on from where it stood.
    async fn run_on(&mut self);
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

/// Two services are called, and each is watched by itself: instances come and go, of one as of the other;
/// while the server is away or stands still the last set of both stays; after that both follow again.
pub(crate) async fn conforms(server: &mut impl Server) {
    server.hold(SERVICE, &[1]).await;
    server.hold(OTHER, &[4]).await;
    let running = Running::of(server.discovery());
    until_both_known(&running, &[1], &[4]).await;
    server.hold(SERVICE, &[1, 2]).await;
    until_both_known(&running, &[1, 2], &[4]).await;
    server.hold(OTHER, &[4, 5]).await;
    until_both_known(&running, &[1, 2], &[4, 5]).await;
    server.hold(SERVICE, &[2]).await;
    server.hold(OTHER, &[5]).await;
    until_both_known(&running, &[2], &[5]).await;

    let before = errors();
    server.go_down().await;
    until_both_break_twice(before).await;
    assert_eq!(known(&running), [BTreeSet::from([2]), BTreeSet::from([5])]);
    server.come_back().await;
    follows_again(server, &running).await;

    let before = errors();
    server.freeze().await;
    until_both_break_twice(before).await;
    assert_eq!(known(&running), [BTreeSet::from([2]), BTreeSet::from([5])]);
    server.run_on().await;
    follows_again(server, &running).await;
}

/// What comes and goes after an outage is seen of both; in the end it is as it was before.
async fn follows_again(server: &mut impl Server, running: &Running) {
    server.hold(SERVICE, &[2, 3]).await;
    server.hold(OTHER, &[5, 6]).await;
    until_both_known(running, &[2, 3], &[5, 6]).await;
    server.hold(SERVICE, &[2]).await;
    server.hold(OTHER, &[5]).await;
    until_both_known(running, &[2], &[5]).await;
}

fn known(running: &Running) -> [BTreeSet<u8>; 2] {
    [SERVICE, OTHER].map(|service| running.known_of(service))
}

async fn until_both_known(running: &Running, wanted: &[u8], of_other: &[u8]) {
    running.until_known_of(SERVICE, wanted).await;
    running.until_known_of(OTHER, of_other).await;
    let wanted = [wanted, of_other].map(|numbers| numbers.iter().copied().collect());
    assert_eq!(known(running), wanted, "what is told of one says nothing of the other");
}

fn errors() -> [u64; 2] {
    [SERVICE, OTHER].map(provider_errors_of)
}

/// Once by what was open, and once by what was tried then.
async fn until_both_break_twice(before: [u64; 2]) {
    let both = || errors().iter().zip(before).all(|(now, before)| *now > before + 1);
    until("both watches break", both).await;
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
