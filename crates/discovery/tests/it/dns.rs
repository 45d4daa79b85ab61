//! `dns`, with a resolver that the test answers for; and the system's own with `localhost`.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use discovery::provider::Dns;
use discovery::{Discovery, ProviderType};

use crate::conformance::{Server, conforms, discovery};
use crate::support::{PORT, Running, SERVICE, services, settings, unchecked, until};

/// A name server with one name.
#[derive(Default)]
struct Names {
    addresses: Arc<Mutex<Option<Vec<IpAddr>>>>,
    held: Vec<IpAddr>,
}

impl Server for Names {
    fn discovery(&self) -> Discovery {
        let addresses = self.addresses.clone();
        let lookup = move |_| -> futures_util::future::BoxFuture<'static, _> {
            let answer = addresses.lock().unwrap().clone();
            Box::pin(async move { answer.ok_or_else(|| io::Error::other("no such name")) })
        };
        let provider = Dns::with_lookup(Duration::from_millis(20), Arc::new(lookup));
        let (settings, services) = (settings(ProviderType::Dns), services("users", PORT));
        Discovery::with_provider(Arc::new(provider), &settings, &services, &unchecked(), &[SERVICE])
            .unwrap()
    }

    async fn hold(&mut self, numbers: &[u8]) {
        let address = |number: &u8| Ipv4Addr::new(10, 0, 0, *number).into();
        self.held = numbers.iter().map(address).collect();
        *self.addresses.lock().unwrap() = Some(self.held.clone());
    }

    async fn go_down(&mut self) {
        *self.addresses.lock().unwrap() = None;
    }

    async fn come_back(&mut self) {
        *self.addresses.lock().unwrap() = Some(self.held.clone());
    }
}

#[tokio::test]
async fn dns_conforms() {
    conforms(&mut Names::default()).await;
}

#[tokio::test]
async fn the_resolver_of_the_system_finds_localhost_once() {
    let running = Running::of(discovery(&settings(ProviderType::Dns)));
    let hosts = || {
        let statuses = running.registry.statuses(SERVICE);
        statuses.iter().map(|(instance, _)| instance.host.clone()).collect::<Vec<_>>()
    };
    until("an address", || !hosts().is_empty()).await;
    assert_eq!(hosts(), ["127.0.0.1"]);
}
