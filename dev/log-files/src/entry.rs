//! An entry of a log: a line with a time, and the lines behind it that have none.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::stamp::{self, Time};

/// How bad something is, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What only whoever looks for a fault wants to read.
    Trace,
    /// The same, less of it.
    Debug,
    /// What happens in order.
    Info,
    /// What somebody should look at some day.
    Warn,
    /// What is broken.
    Error,
}

impl Level {
    /// In lower case, as it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// All of them, the worst last.
    pub const ALL: [Self; 5] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// By the words of services, PostgreSQL and RabbitMQ.
    pub(crate) fn of(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "trace" => Self::Trace,
            "debug" | "debug1" | "debug2" | "debug3" | "debug4" | "debug5" => Self::Debug,
            "info" | "log" | "notice" => Self::Info,
            "warn" | "warning" => Self::Warn,
            "error" | "fatal" | "panic" | "critical" | "alert" | "emergency" => Self::Error,
            _ => return None,
        })
    }

    /// By the sign of Redis.
    fn of_sign(sign: &str) -> Option<Self> {
        match sign {
            "." => Some(Self::Debug),
            "-" | "*" => Some(Self::Info),
            "#" => Some(Self::Warn),
            _ => None,
        }
    }
}

/// What a line says, by what filters ask for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entry {
    /// Its own, or that of the line it follows; none where a log begins without one.
    pub time: Option<Time>,
    /// None where the line does not tell.
    pub level: Option<Level>,
    /// What is left of the line.
    pub message: String,
    /// What a line of JSON says beside it.
    pub fields: Map<String, Value>,
    /// The trace that it belongs to.
    pub trace_id: Option<String>,
    /// The request that it belongs to.
    pub request_id: Option<String>,
    /// The lines behind it without a time.
    pub more: Vec<String>,
}

/// How many digits of a trace id are shown.
const TRACE_DIGITS: usize = 8;
/// Of a line by PostgreSQL that goes on with the one before.
const GOES_ON: [&str; 5] = ["DETAIL", "HINT", "STATEMENT", "CONTEXT", "QUERY"];

impl Entry {
    /// The entry that begins with this line; none when the line belongs to the one before.
    pub fn begin(line: &str) -> Option<Self> {
        if line.starts_with('{') {
            return Self::of_json(line);
        }
        let (time, rest) = stamp::split(line)?;
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        // `[8377] LOG:  …` of PostgreSQL; of RabbitMQ it is the level that stands there.
        let bracketed = word.strip_prefix('[').and_then(|word| word.strip_suffix(']'));
        if let Some(inner) = bracketed {
            if let Some(level) = Level::of(inner) {
                return Some(Self::of_text(time, Some(level), after));
            }
            let named = after.split_once(':').filter(|(word, _)| !word.contains(' '));
            return match named {
                Some((word, _)) if GOES_ON.contains(&word) => None,
                Some((word, said)) => {
                    let level = Level::of(word);
                    let said = if level.is_some() { said.trim_start() } else { after };
                    Some(Self::of_text(time, level, said))
                }
                None => Some(Self::of_text(time, None, after)),
            };
        }
        match Level::of(word).or_else(|| Level::of_sign(word)) {
            Some(level) => Some(Self::of_text(time, Some(level), after.trim_start())),
            None => Some(Self::of_text(time, None, rest)),
        }
    }

    /// An entry that begins with a line without a time: of a panic, or at the beginning of a log.
    pub(crate) fn without_time(line: &str, before: Option<&Self>) -> Self {
        let level = is_panic(line).then_some(Level::Error);
        Self {
            time: before.and_then(|before| before.time),
            level: level.or_else(|| before.and_then(|before| before.level)),
            message: line.to_owned(),
            trace_id: before.and_then(|before| before.trace_id.clone()),
            request_id: before.and_then(|before| before.request_id.clone()),
            ..Self::default()
        }
    }

    /// The message, and what a line of JSON says beside it, as a person reads it.
    pub fn said(&self) -> String {
        let mut text = self.message.clone();
        for (name, value) in &self.fields {
            // The log's name says the first; the others are for tools.
            if matches!(name.as_str(), "service" | "target" | "span_id") {
                continue;
            }
            let _never_fails = match value {
                Value::String(value)
                    if !value.is_empty() && !value.contains(char::is_whitespace) =>
                {
                    write!(text, " {name}={value}")
                }
                value => write!(text, " {name}={value}"),
            };
        }
        if let Some(trace) = self.trace_id.as_deref().filter(|_| !text.contains("trace_id=")) {
            let shown: String = trace.chars().take(TRACE_DIGITS).collect();
            let _never_fails = write!(text, " trace_id={shown}");
        }
        text
    }

    fn of_json(line: &str) -> Option<Self> {
        let mut fields: Map<String, Value> = serde_json::from_str(line).ok()?;
        let time = fields.remove("timestamp")?;
        let (time, _) = stamp::split(time.as_str()?)?;
        let mut take = |name: &str| match fields.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let level = take("level").and_then(|word| Level::of(&word));
        let message = take("message").unwrap_or_default();
        let trace_id = take("trace_id");
        let request_id = fields.get("request.id").and_then(Value::as_str).map(str::to_owned);
        Some(Self { time: Some(time), level, message, fields, trace_id, request_id, more: vec![] })
    }

    fn of_text(time: Time, level: Option<Level>, said: &str) -> Self {
        let value = |name: &str| {
            let word = said.split(' ').find_map(|word| word.strip_prefix(name));
            word.map(str::to_owned)
        };
        Self {
            time: Some(time),
            level,
            message: said.to_owned(),
            trace_id: value("trace_id="),
            request_id: value("request.id="),
            ..Self::default()
        }
    }
}

/// Whether a line is the first of a panic's report, which goes past the log's format.
pub(crate) fn is_panic(line: &str) -> bool {
    line.starts_with("thread '") && line.contains("panicked at")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_format_gives_its_level_and_what_is_said() {
        use Level::{Debug, Error, Info, Warn};
        for (line, level, said) in [
            (
                r#"{"timestamp":"2026-01-15T12:00:00Z","level":"WARN","message":"a b"}"#,
                Some(Warn),
                "a b",
            ),
            ("2026-01-15T12:00:00Z  INFO server listening x=1", Some(Info), "server listening x=1"),
            ("2026-01-15T12:00:00Z ERROR no", Some(Error), "no"),
            (
                "2026-01-15T12:00:00Z POST /v1/payment_intents 200",
                None,
                "POST /v1/payment_intents 200",
            ),
            ("2026-01-15 12:00:00.1 UTC [83] LOG:  a: b", Some(Info), "a: b"),
            ("2026-01-15 12:00:00.1 UTC [83] FATAL:  no", Some(Error), "no"),
            ("2026-01-15 12:00:00.1 UTC [83] WARNING:  hm", Some(Warn), "hm"),
            ("2026-01-15 12:00:00.1 UTC [83] a: b", None, "a: b"),
            ("2026-01-15 12:00:00.1+00:00 [error] <0.1.0> no", Some(Error), "<0.1.0> no"),
            ("2026-01-15 12:00:00.1+00:00 [notice] <0.1.0> up", Some(Info), "<0.1.0> up"),
            ("83:M 15 Jan 2026 12:00:00.1 # low memory", Some(Warn), "low memory"),
            ("83:M 15 Jan 2026 12:00:00.1 . chatter", Some(Debug), "chatter"),
        ] {
            let entry = Entry::begin(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!((entry.level, entry.message.as_str()), (level, said), "{line}");
        }
    }

    #[test]
    fn a_line_that_goes_on_begins_nothing() {
        for line in [
            "   0: std::panicking",
            "{\"message\":\"no time\"}",
            "{ broken",
            "2026-01-15 12:00:00.1 UTC [83] DETAIL:  the rest of it",
            "2026-01-15 12:00:00.1 UTC [83] STATEMENT:  select 1",
        ] {
            assert_eq!(Entry::begin(line), None, "{line}");
        }
    }

    #[test]
    fn ids_are_found_in_json_and_in_text() {
        let json = r#"{"timestamp":"2026-01-15T12:00:00Z","trace_id":"ab","request.id":"r"}"#;
        let text = "2026-01-15T12:00:00Z  INFO request answered request.id=r trace_id=ab";
        for line in [json, text] {
            let entry = Entry::begin(line).unwrap();
            assert_eq!(entry.trace_id.as_deref(), Some("ab"), "{line}");
            assert_eq!(entry.request_id.as_deref(), Some("r"), "{line}");
        }
    }
}
