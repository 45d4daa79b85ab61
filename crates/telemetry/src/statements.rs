//! A client span for every statement that goes to PostgreSQL, without a word at the place of the
//! call.
//!
//! sqlx tells of a statement when it is over: an event with the SQL and the time it took. Here that
//! becomes a span that began so much earlier, below the span that the statement ran in, by
//! <https://opentelemetry.io/docs/specs/semconv/db/postgresql/>. Outside of a sampled trace nobody
//! listens, and sqlx does not even put the event together.
//!
//! The SQL is a literal of the source (sqlx takes no other without being told), so that it holds
//! placeholders and no values. The event does not know how the statement ended: a failure is told
//! by the span around it. `begin` and `commit` are no statements to sqlx.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::{Span, SpanBuilder, SpanKind};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, layer};

use crate::{propagation, sql};

/// What sqlx calls its events.
const TARGET: &str = "sqlx::query";

static DATABASE: OnceLock<Vec<KeyValue>> = OnceLock::new();

/// Names the database of the process, for the spans of its statements. The first call counts.
pub fn set_database(host: &str, port: u16, database: &str) {
    DATABASE.get_or_init(|| {
        vec![
            KeyValue::new("db.system.name", "postgresql"),
            KeyValue::new("db.namespace", database.to_owned()),
            KeyValue::new("server.address", host.to_owned()),
            KeyValue::new("server.port", i64::from(port)),
        ]
    });
}

pub(crate) fn layer<S>(tracer: SdkTracer) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let is_one = |metadata: &Metadata<'_>| metadata.target() == TARGET;
    let filter = dynamic_filter_fn(move |metadata, _: &layer::Context<'_, S>| {
        is_one(metadata) && propagation::is_sampled()
    });
    // Asked of each statement anew, and of nothing else.
    let filter = filter.with_callsite_filter(move |metadata| {
        if is_one(metadata) {
            tracing::subscriber::Interest::sometimes()
        } else {
            tracing::subscriber::Interest::never()
        }
    });
    StatementSpans { tracer }.with_filter(filter)
}

struct StatementSpans {
    tracer: SdkTracer,
}

impl<S: Subscriber> Layer<S> for StatementSpans {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        let mut statement = Statement::default();
        event.record(&mut statement);
        let text = statement.text();
        let summary = sql::summary(text);
        let end = opentelemetry::time::now();
        let mut attributes = DATABASE
            .get()
            .cloned()
            .unwrap_or_else(|| vec![KeyValue::new("db.system.name", "postgresql")]);
        attributes.push(KeyValue::new("db.query.summary", summary.clone()));
        attributes.push(KeyValue::new("db.query.text", text.to_owned()));
        SpanBuilder::from_name(summary)
            .with_kind(SpanKind::Client)
            .with_start_time(end - statement.took)
            .with_attributes(attributes)
            .start_with_context(&self.tracer, &Context::current())
            .end_with_timestamp(end);
    }
}

/// What sqlx says of a statement.
#[derive(Default)]
struct Statement {
    /// Its first four words; the whole of it when it has no more.
    summary: String,
    /// The whole of it when it is longer than that.
    whole: String,
    took: Duration,
}

impl Statement {
    fn text(&self) -> &str {
        if self.whole.is_empty() { &self.summary } else { self.whole.trim() }
    }
}

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.whole),
            _ => {}
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            self.took = Duration::try_from_secs_f64(value).unwrap_or_default();
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
