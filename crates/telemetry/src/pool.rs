//! How long work waited for a connection to the database.
//!
//! Everybody takes connections from sqlx's pool as it is, and the pool has no hook there; but it
//! tells each wait in an event, once `acquire_time_level` asks for it.

use std::fmt;

use prometheus::Histogram;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::metrics;

/// Where sqlx tells of a connection that was taken, and the field with the seconds that it took.
const TARGET: &str = "sqlx::pool::acquire";
const SECONDS: &str = "acquired_after_secs";

/// The layer that makes `db_client_connection_wait_time_seconds` of the events. A wait that was
/// given up is not among them: it ends in an error.
pub(crate) fn layer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let help = "Time until a connection was taken from the pool, in seconds.";
    let waits = metrics::histogram("db_client_connection_wait_time_seconds", help, &[]);
    let none: &[&str] = &[];
    let events = Targets::new().with_target(TARGET, LevelFilter::DEBUG);
    WaitTimes(waits.with_label_values(none)).with_filter(events)
}

struct WaitTimes(Histogram);

impl<S: Subscriber> Layer<S> for WaitTimes {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut WaitTimeVisitor(&self.0));
    }
}

struct WaitTimeVisitor<'a>(&'a Histogram);

impl Visit for WaitTimeVisitor<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == SECONDS {
            self.0.observe(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
