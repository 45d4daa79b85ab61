//! Log lines: a fixed message, dotted fields, and the ids of the trace they belong to.

mod filter;
mod writer;

use std::fmt;

use opentelemetry::trace::TraceContextExt;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::{LogFormat, LogSettings, TelemetryError};

pub(crate) use filter::parse;
pub use filter::{FilterError, LogFilter, log_filter};
pub use writer::flush_logs;

/// The layer that writes each event as one line on standard output.
///
/// # Errors
/// The filter of the settings is none, or the system has no thread left.
pub(crate) fn layer<S>(
    settings: &LogSettings,
    service: &str,
) -> Result<impl Layer<S> + use<S>, TelemetryError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let filter = filter::install(&settings.filter)?;
    let line = Line { format: settings.format, service: service.to_owned() };
    let notice = line.clone();
    let writer = writer::install(move |dropped| notice.dropped(dropped))?;
    let lines =
        tracing_subscriber::fmt::layer().with_ansi(false).event_format(line).with_writer(writer);
    Ok(lines.with_filter(filter))
}

/// One event as one line. Fields of enclosing spans are left to the trace, which has them once.
#[derive(Clone)]
struct Line {
    format: LogFormat,
    service: String,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let context = opentelemetry::Context::current();
        let span = context.span().span_context().clone();
        if span.is_valid() {
            fields.insert("trace_id", span.trace_id().to_string().into());
            fields.insert("span_id", span.span_id().to_string().into());
        }
        let metadata = event.metadata();
        self.write(&mut out, *metadata.level(), metadata.target(), fields)
    }
}

impl Line {
    /// The line that tells how many others were dropped.
    fn dropped(&self, count: u64) -> String {
        let mut fields =
            Fields { message: "log lines were dropped".to_owned(), ..Fields::default() };
        fields.insert("log.dropped", count.into());
        let mut text = String::new();
        // A text takes whatever is written to it.
        let _ = self.write(&mut Writer::new(&mut text), Level::WARN, module_path!(), fields);
        text
    }

    fn write(
        &self,
        out: &mut Writer<'_>,
        level: Level,
        target: &str,
        fields: Fields,
    ) -> fmt::Result {
        match self.format {
            LogFormat::Json => self.json(out, level, target, fields),
            LogFormat::Human => Self::human(out, level, &fields),
        }
    }

    fn json(
        &self,
        out: &mut Writer<'_>,
        level: Level,
        target: &str,
        fields: Fields,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), time.into());
        line.insert("level".to_owned(), level.as_str().into());
        line.insert("service".to_owned(), self.service.as_str().into());
        line.insert("target".to_owned(), target.into());
        line.insert("message".to_owned(), fields.message.into());
        line.extend(fields.rest);
        writeln!(out, "{}", Value::Object(line))
    }

    fn human(out: &mut Writer<'_>, level: Level, fields: &Fields) -> fmt::Result {
        SystemTime.format_time(out)?;
        write!(out, " {level:>5} {}", fields.message)?;
        for (name, value) in &fields.rest {
            match value {
                Value::String(text) if !text.contains([' ', '\n']) => write!(out, " {name}={text}"),
                other => write!(out, " {name}={other}"),
            }?;
        }
        writeln!(out)
    }
}

/// What an event says: its message, and its other fields by name.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Map<String, Value>,
}

impl Fields {
    fn insert(&mut self, name: &str, value: Value) {
        self.rest.insert(name.to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.insert(field.name(), format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.insert(field.name(), value.into());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field.name(), value.into());
    }
}
