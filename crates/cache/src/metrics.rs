//! What is counted of the cache: the table at the crate's head.

use std::time::Duration;

use prometheus::IntCounter;
use redis::Cmd;
use telemetry::metrics::{counter, histogram};

use crate::CacheError;

/// The look-ups of one cache, by outcome; there from the beginning.
#[derive(Clone)]
pub(crate) struct Lookups {
    hits: IntCounter,
    misses: IntCounter,
    errors: IntCounter,
}

impl Lookups {
    pub(crate) fn new(service: &str) -> Self {
        let help = "Cache look-ups, by outcome: hit, miss or error.";
        let family = counter("service_cache_lookups_total", help, &["service", "outcome"]);
        let of = |outcome| family.with_label_values(&[service, outcome]);
        Self { hits: of("hit"), misses: of("miss"), errors: of("error") }
    }

    pub(crate) fn record<T>(&self, value: &Result<Option<T>, CacheError>) {
        match value {
            Ok(Some(_)) => self.hits.inc(),
            Ok(None) => self.misses.inc(),
            Err(_) => self.errors.inc(),
        }
    }
}

/// Records how long Redis took for a command, of which only the name is shown.
pub(crate) fn record_duration(command: &Cmd, error: Option<&CacheError>, took: Duration) {
    let help = "Time of a command, by its name and the kind of fault, in seconds.";
    let labels = ["db_system_name", "db_operation_name", "error_type"];
    histogram("db_client_operation_duration_seconds", help, &labels)
        .with_label_values(&["redis", crate::name(command), error.map_or("", CacheError::kind)])
        .observe(took.as_secs_f64());
}
