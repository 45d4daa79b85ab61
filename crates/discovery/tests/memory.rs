//! What a provider repeats costs no memory: on its whole way, from the watch to the endpoints.
//!
//! A binary of its own, whose memory is that of this one test.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "tests start what they watch")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use discovery::provider::{Provider, Sink};
use discovery::{
    Discovery, DiscoverySettings, LoadBalancingSettings, PickOptions, ProviderError, Scheme,
    ServiceSettings,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tusk_config::HttpRequest;

const SERVICE: &str = "user-service";
const INSTANCES: u16 = 20;
/// Identical updates until everything is as large as it gets, and those that are measured.
const WARM_UP: usize = 1_000;
const REPEATED: usize = 10_000;
/// Updates after which the watch breaks, so that what was told before an error is compared as well.
const BREAKS_AFTER: usize = 500;
/// A hundred bytes of an update, or five of an instance of one.
const GROWTH_MAX_KB: usize = 1_024;

/// Says the same again and again, each time in another order.
#[derive(Debug, Default)]
struct Repeats(AtomicUsize);

impl Provider for Repeats {
    fn name(&self) -> &'static str {
        "repeats"
    }

    fn watch<'a>(&'a self, sink: &'a Sink) -> BoxFuture<'a, Result<Infallible, ProviderError>> {
        async {
            loop {
                let told = self.0.load(Ordering::SeqCst);
                let mut instances: Vec<_> =
                    (0..INSTANCES).map(|port| sink.instance("10.0.0.1", port + 1)).collect();
                instances.rotate_left(told % usize::from(INSTANCES));
                sink.publish(instances);
                sink.confirm();
                self.0.store(told + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(1)).await;
                if told.is_multiple_of(BREAKS_AFTER) {
                    return Err(ProviderError::Broken("of a test"));
                }
            }
        }
        .boxed()
    }
}

fn resident_kb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_identical_updates_leave_memory_as_it_was() {
    let section = ServiceSettings {
        host: "localhost".to_owned(),
        port: 3001,
        health_check: HttpRequest::get("http://localhost:3001/health".to_owned()),
        version: "1.0.0".to_owned(),
        instances: Vec::new(),
        scheme: Scheme::Http,
        tls_name: String::new(),
    };
    let balancing = LoadBalancingSettings {
        health_check_interval: Duration::ZERO,
        ..LoadBalancingSettings::default()
    };
    let provider = Arc::new(Repeats::default());
    let discovery = Discovery::with_provider(
        provider.clone(),
        &DiscoverySettings::default(),
        &BTreeMap::from([(SERVICE.to_owned(), section)]),
        &balancing,
        &[SERVICE],
    )
    .unwrap();
    let registry = discovery.registry();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(discovery.run(shutdown.clone()));
    let until_told = async |times: usize| {
        while provider.0.load(Ordering::SeqCst) < times {
            // Calls go on meanwhile.
            let call = registry.pick(SERVICE, &PickOptions::any());
            tokio::time::sleep(Duration::from_millis(1)).await;
            call.into_iter().for_each(discovery::Pick::success);
        }
    };
    until_told(WARM_UP).await;
    let endpoints = registry.statuses(SERVICE);
    let before = resident_kb();
    until_told(WARM_UP + REPEATED).await;
    let after = resident_kb();
    assert!(after <= before + GROWTH_MAX_KB, "{before} kB became {after} kB");
    let still = registry.statuses(SERVICE);
    assert_eq!(still.len(), usize::from(INSTANCES));
    assert!(endpoints.iter().zip(&still).all(|((one, _), (other, _))| Arc::ptr_eq(one, other)));
    shutdown.cancel();
    running.await.unwrap().unwrap();
}
