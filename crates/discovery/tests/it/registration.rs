//! The registration of a process, with a registrar that the test holds up.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use discovery::provider::{Advertised, Lease, Provider, Registrar, Sink};
use discovery::{Discovery, ProviderError, ProviderType};
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::support::{PORT, SERVICE, services, settings, unchecked, until};

/// A registrar that does its work at once and answers only when it is let.
#[derive(Debug, Default)]
struct Slow {
    registered: Mutex<BTreeSet<String>>,
    answer: Notify,
}

impl Slow {
    fn registered(&self) -> BTreeSet<String> {
        self.registered.lock().unwrap().clone()
    }
}

impl Provider for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn watch<'a>(&'a self, sink: &'a Sink) -> BoxFuture<'a, Result<Infallible, ProviderError>> {
        Box::pin(async move {
            sink.publish(Vec::new());
            std::future::pending().await
        })
    }

    fn registrar(&self) -> Option<&dyn Registrar> {
        Some(self)
    }
}

impl Registrar for Slow {
    fn server(&self) -> (String, u16) {
        ("127.0.0.1".to_owned(), 1)
    }

    fn register<'a>(&'a self, own: &'a Advertised) -> BoxFuture<'a, Result<Lease, ProviderError>> {
        Box::pin(async move {
            self.registered.lock().unwrap().insert(own.id());
            self.answer.notified().await;
            Ok(Lease("1".to_owned()))
        })
    }

    fn renew<'a>(
        &'a self,
        _: &'a Advertised,
        _: &'a Lease,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async { Ok(()) })
    }

    fn deregister<'a>(
        &'a self,
        own: &'a Advertised,
        _: Option<&'a Lease>,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move {
            self.registered.lock().unwrap().remove(&own.id());
            Ok(())
        })
    }
}

async fn drains_while_it_registers(is_answered: bool) {
    let slow = Arc::new(Slow::default());
    let services = services("localhost", PORT);
    let settings = settings(ProviderType::Static);
    let discovery =
        Discovery::with_provider(slow.clone(), &settings, &services, &unchecked(), &[SERVICE]);
    let draining = CancellationToken::new();
    let registration = discovery.unwrap().registration(SERVICE, PORT, "1.0.0");
    let kept = tokio::spawn(registration.run(draining.clone()));
    until("it registers", || !slow.registered().is_empty()).await;
    draining.cancel();
    if is_answered {
        slow.answer.notify_one();
    }
    kept.await.unwrap().unwrap();
    assert_eq!(slow.registered(), BTreeSet::new());
}

#[tokio::test]
async fn a_drain_in_the_middle_of_registering_leaves_no_registration() {
    drains_while_it_registers(true).await;
}

#[tokio::test]
async fn a_drain_leaves_no_registration_whose_answer_never_comes() {
    drains_while_it_registers(false).await;
}
