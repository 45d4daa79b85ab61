//! Figures as they are shown.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use maud::{Markup, html};

/// Nanoseconds as `12 µs`, `3.4 ms`, `1.25 s`.
pub(crate) fn duration(nanoseconds: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let value = nanoseconds as f64;
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => format!("{:.0} µs", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", value / 1e6),
        _ => format!("{:.2} s", value / 1e9),
    }
}

/// `3 d 4 h`, `5 min 12 s`.
pub(crate) fn uptime(uptime: Duration) -> String {
    let seconds = uptime.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Bytes as `12.3 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
    let value = bytes as f64;
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", value / 1_024.0),
        _ => format!("{:.1} MiB", value / 1_048_576.0),
    }
}

/// Nanoseconds since 1970 as a time of the day with milliseconds, UTC.
pub(crate) fn time(nanoseconds: u64) -> String {
    let time = DateTime::from_timestamp_nanos(i64::try_from(nanoseconds).unwrap_or_default());
    let text = time.to_rfc3339_opts(SecondsFormat::Millis, true);
    text.get(11..23).unwrap_or_default().to_owned()
}

/// A time of the database, to the millisecond.
pub(crate) fn moment(at: DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Seconds as a duration.
pub(crate) fn seconds(seconds: f64) -> String {
    let rounded = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    if rounded.as_secs() >= 60 {
        return uptime(rounded);
    }
    duration(u64::try_from(rounded.as_nanos()).unwrap_or(u64::MAX))
}

/// To the trace that a `traceparent` header names.
pub(crate) fn trace_link(traceparent: Option<&str>) -> Markup {
    let trace = traceparent.and_then(|text| text.split('-').nth(1));
    let trace = trace.filter(|it| it.len() == 32 && it.bytes().all(|it| it.is_ascii_hexdigit()));
    html! { @if let Some(trace) = trace { a href=(format!("/traces/{trace}")) { "trace" } } }
}

/// A text as JSON that is easy to read, where it is some.
pub(crate) fn pretty(text: &str) -> Option<String> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(format!("{value:#}"))
}
