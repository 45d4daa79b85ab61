//! Log entries that came by OTLP, written to files like those that `up` gives its own processes: so they
//! are filtered, searched, downloaded and shown by `cargo dev logs` like all others.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, SecondsFormat};
use log_files::Level;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs};
use serde_json::{Map, Value};

use crate::spans;

/// Bytes of a file, which is put aside as `.log.1` then.
const FILE_MAX: u64 = 8 << 20;
/// Services that get a file; their names come from outside.
const SERVICES_MAX: usize = 16;
/// Bytes of a service's name.
const NAME_MAX: usize = 64;

/// The files that are written to.
#[derive(Debug, Default)]
pub(super) struct Received(Mutex<HashMap<String, File>>);

impl Received {
    pub(super) fn keep(
        &self,
        folder: &Path,
        logs: Vec<ResourceLogs>,
        has_file: impl Fn(&str) -> bool,
    ) -> io::Result<()> {
        for of_process in logs {
            let service = spans::service(&of_process.resource.unwrap_or_default().attributes);
            if !is_name(&service) || has_file(&service) {
                continue;
            }
            let mut text = Vec::new();
            for record in of_process.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
                serde_json::to_writer(&mut text, &line(record))?;
                text.push(b'\n');
            }
            self.write(folder, service, &text)?;
        }
        Ok(())
    }

    fn write(&self, folder: &Path, service: String, text: &[u8]) -> io::Result<()> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= SERVICES_MAX && !files.contains_key(&service) {
            return Ok(());
        }
        // Under a name that no process of the system has: nobody puts lines into the log of another.
        let path = folder.join(format!("otlp-{service}.log"));
        // By its name: somebody may have removed it.
        let length = fs::metadata(&path).map(|data| data.len());
        if length.as_ref().is_ok_and(|length| *length > FILE_MAX) {
            fs::rename(&path, path.with_extension("log.1"))?;
        }
        if length.as_ref().is_err() || length.is_ok_and(|length| length > FILE_MAX) {
            files.remove(&service);
        }
        let file = match files.entry(service) {
            std::collections::hash_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::hash_map::Entry::Vacant(none) => {
                fs::create_dir_all(folder)?;
                none.insert(File::options().append(true).create(true).mode(0o600).open(path)?)
            }
        };
        file.write_all(text)
    }
}

/// Whether it can be a file's name and nothing else.
fn is_name(service: &str) -> bool {
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !service.is_empty() && service.len() <= NAME_MAX && service.bytes().all(is_sign)
}

/// A line as services write it.
fn line(record: LogRecord) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, value) in spans::attributes(record.attributes) {
        fields.insert(name, Value::String(value));
    }
    let nanoseconds = match record.time_unix_nano {
        0 => record.observed_time_unix_nano,
        time => time,
    };
    let time = DateTime::from_timestamp_nanos(i64::try_from(nanoseconds).unwrap_or_default());
    let mut put = |name: &str, value: String| fields.insert(name.to_owned(), Value::String(value));
    put("timestamp", time.to_rfc3339_opts(SecondsFormat::Micros, true));
    put("level", level(record.severity_number).name().to_owned());
    put("message", spans::cut(record.body.map(|body| spans::text(body, 0)).unwrap_or_default()));
    for (name, id) in [("trace_id", &record.trace_id), ("span_id", &record.span_id)] {
        if id.iter().any(|byte| *byte != 0) {
            put(name, spans::hex(id));
        }
    }
    fields
}

/// Of a severity's number: <https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber>.
fn level(severity: i32) -> Level {
    match severity {
        1..=4 => Level::Trace,
        5..=8 => Level::Debug,
        13..=16 => Level::Warn,
        17.. => Level::Error,
        _ => Level::Info,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use log_files::{Filter, Term};
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
    use opentelemetry_proto::tonic::logs::v1::ScopeLogs;

    use super::*;
    use crate::logs::Logs;

    fn exported(service: &str) -> Vec<ResourceLogs> {
        let value = |text: &str| Some(AnyValue { value: Some(Any::StringValue(text.into())) });
        let pair = |key: &str, text: &str| KeyValue {
            key: key.into(),
            value: value(text),
            ..KeyValue::default()
        };
        let record = LogRecord {
            time_unix_nano: 1_800_000_000_000_000_000,
            severity_number: 13,
            body: value("Slow provider\nby far"),
            attributes: vec![pair("payment.id", "p-1"), pair("message", "not this")],
            trace_id: vec![0x13; 16],
            ..LogRecord::default()
        };
        let mut logs = ResourceLogs {
            scope_logs: vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        };
        logs.resource.get_or_insert_default().attributes = vec![pair("service.name", service)];
        vec![logs]
    }

    #[test]
    fn entries_of_a_service_without_a_file_are_found_among_the_logs() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::new(folder.path().to_owned());
        for service in ["my-script", "user-service", "../../etc/x"] {
            logs.receive(exported(service), |name| name == "user-service").unwrap();
        }
        let terms = Term::parse_all("level:warn payment.id:p-1 trace:13131313").unwrap();
        let mut filter = Filter { terms, ..Filter::default() };
        let found = logs.search(&mut filter, 9).unwrap();
        let [(name, entry)] = &found[..] else { panic!("one entry: {found:?}") };
        assert_eq!(
            (name.as_str(), entry.message.as_str()),
            ("otlp-my-script", "Slow provider\nby far")
        );
    }
}
