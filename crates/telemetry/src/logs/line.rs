//! How an event becomes a line: straight into the bytes that are written out, without texts between.
//!
//! A value that formats itself is escaped while it does so, by `serde_json`'s own serializer.

use std::fmt;
use std::io::Write;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use serde::{Serialize, Serializer};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::LogFormat;

/// The keys that a line of JSON has of its own. A field of the same name is written with
/// [`FIELD_PREFIX`], so that no key stands in a line twice and no field passes for one of these.
const OWN_KEYS: [&str; 7] =
    ["timestamp", "level", "service", "target", "message", "trace_id", "span_id"];
const FIELD_PREFIX: &str = "field.";

/// How the lines of a service look.
#[derive(Clone)]
pub(super) struct LineFormat {
    pub(super) format: LogFormat,
    pub(super) service: String,
}

impl LineFormat {
    /// Writes an event behind what `out` holds. Fields of enclosing spans are left to the trace, which
    /// has them once.
    pub(super) fn event(&self, out: &mut Vec<u8>, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut line = Line { out, format: self.format };
        line.head(&self.service, *metadata.level(), metadata.target());
        let mut message = Message { line: &mut line, is_written: false };
        event.record(&mut message);
        if !message.is_written {
            line.message(&Value::Text(""));
        }
        event.record(&mut Fields(&mut line));
        line.trace();
        line.end();
    }

    /// The line that tells how many others were dropped.
    pub(super) fn dropped(&self, count: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let mut line = Line { out: &mut out, format: self.format };
        line.head(&self.service, Level::WARN, module_path!());
        line.message(&Value::Text("log lines were dropped"));
        line.field("log.dropped", &Value::Unsigned(count));
        line.end();
        out
    }
}

/// The value of a field.
enum Value<'a> {
    Text(&'a str),
    Formatted(&'a dyn fmt::Debug),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Flag(bool),
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Formatted(value) => serializer.collect_str(&format_args!("{value:?}")),
            Self::Signed(number) => serializer.serialize_i64(*number),
            Self::Unsigned(number) => serializer.serialize_u64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
        }
    }
}

/// A line that is being written. Bytes take whatever is written to them, so no error is passed on.
struct Line<'a> {
    out: &'a mut Vec<u8>,
    format: LogFormat,
}

impl Line<'_> {
    fn head(&mut self, service: &str, level: Level, target: &str) {
        match self.format {
            LogFormat::Json => {
                self.text("{\"timestamp\":\"");
                self.time();
                self.text("\",\"level\":\"");
                self.text(level.as_str());
                self.text("\",\"service\":");
                self.json(&service);
                self.text(",\"target\":");
                self.json(&target);
            }
            LogFormat::Human => {
                self.time();
                let _ = write!(self.out, " {level:>5} ");
            }
        }
    }

    fn message(&mut self, message: &Value<'_>) {
        match self.format {
            LogFormat::Json => {
                self.text(",\"message\":");
                self.json(message);
            }
            LogFormat::Human => self.plain(message),
        }
    }

    fn field(&mut self, name: &str, value: &Value<'_>) {
        match self.format {
            LogFormat::Json if OWN_KEYS.contains(&name) => {
                self.text(",\"");
                self.text(FIELD_PREFIX);
                self.text(name);
                self.text("\":");
                self.json(value);
            }
            LogFormat::Json => {
                self.text(",");
                self.json(&name);
                self.text(":");
                self.json(value);
            }
            LogFormat::Human => {
                let _ = write!(self.out, " {name}=");
                self.word(value);
            }
        }
    }

    /// The ids of the current trace, if there is one.
    fn trace(&mut self) {
        Context::map_current(|context| {
            let span = context.span();
            let span = span.span_context();
            if span.is_valid() {
                let trace = span.trace_id();
                let span = span.span_id();
                let _ = match self.format {
                    LogFormat::Json => {
                        write!(self.out, ",\"trace_id\":\"{trace}\",\"span_id\":\"{span}\"")
                    }
                    LogFormat::Human => write!(self.out, " trace_id={trace} span_id={span}"),
                };
            }
        });
    }

    fn end(&mut self) {
        self.text(match self.format {
            LogFormat::Json => "}\n",
            LogFormat::Human => "\n",
        });
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn time(&mut self) {
        let _ = SystemTime.format_time(&mut Writer::new(&mut Utf8(self.out)));
    }

    fn json(&mut self, value: &impl Serialize) {
        let _ = serde_json::to_writer(&mut *self.out, value);
    }

    fn plain(&mut self, value: &Value<'_>) {
        let _ = match value {
            Value::Text(text) => return self.text(text),
            Value::Formatted(value) => write!(self.out, "{value:?}"),
            Value::Signed(number) => write!(self.out, "{number}"),
            Value::Unsigned(number) => write!(self.out, "{number}"),
            Value::Float(number) => write!(self.out, "{number}"),
            Value::Flag(flag) => write!(self.out, "{flag}"),
        };
    }

    /// A value for people; in quotes when it would not be taken for one word of one line.
    fn word(&mut self, value: &Value<'_>) {
        let start = self.out.len();
        self.plain(value);
        let written = String::from_utf8_lossy(&self.out[start..]);
        if written.contains(|sign: char| sign.is_whitespace() || sign.is_control()) {
            let written = written.into_owned();
            self.out.truncate(start);
            self.json(&written);
        }
    }
}

/// Text into bytes.
struct Utf8<'a>(&'a mut Vec<u8>);

impl fmt::Write for Utf8<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Writes the message of an event, and nothing else of it.
struct Message<'a, 'b> {
    line: &'a mut Line<'b>,
    is_written: bool,
}

impl Message<'_, '_> {
    fn record(&mut self, field: &Field, value: &Value<'_>) {
        if field.name() == "message" && !self.is_written {
            self.is_written = true;
            self.line.message(value);
        }
    }
}

/// Writes the other fields of an event, in their order.
struct Fields<'a, 'b>(&'a mut Line<'b>);

impl Fields<'_, '_> {
    fn record(&mut self, field: &Field, value: &Value<'_>) {
        if field.name() != "message" {
            self.0.field(field.name(), value);
        }
    }
}

/// Has a visitor take each kind of value by its own `record`.
macro_rules! visit_values {
    ($visitor:ty) => {
        impl Visit for $visitor {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                self.record(field, &Value::Formatted(value));
            }

            fn record_str(&mut self, field: &Field, value: &str) {
                self.record(field, &Value::Text(value));
            }

            fn record_i64(&mut self, field: &Field, value: i64) {
                self.record(field, &Value::Signed(value));
            }

            fn record_u64(&mut self, field: &Field, value: u64) {
                self.record(field, &Value::Unsigned(value));
            }

            fn record_f64(&mut self, field: &Field, value: f64) {
                self.record(field, &Value::Float(value));
            }

            fn record_bool(&mut self, field: &Field, value: bool) {
                self.record(field, &Value::Flag(value));
            }
        }
    };
}

visit_values!(Message<'_, '_>);
visit_values!(Fields<'_, '_>);

#[cfg(test)]
mod tests;
