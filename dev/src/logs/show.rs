//! Entries as people read them, and as tools do.

use std::{borrow::Cow, fmt::Write as _, io::stdout};

use anstream::{AutoStream, ColorChoice};
use chrono::SecondsFormat;
use serde_json::{Value, json};

use log_files::{Entry, Level};

/// The colours of names, by their place.
const NAMES: [u8; 6] = [36, 35, 34, 32, 33, 96];
const DIM: u8 = 2;

/// How entries are written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Style {
    /// A line for people, with a name before it when several logs are shown.
    Plain { name_width: usize, is_coloured: bool },
    /// One object a line.
    Json,
}

/// Colours are for a terminal whose user has not said otherwise (<https://no-color.org>, `CLICOLOR_FORCE`).
pub(super) fn is_coloured() -> bool {
    AutoStream::choice(&stdout()) != ColorChoice::Never
}

/// Writes an entry of the log of this name and place with all of its lines.
pub(super) fn write(out: &mut String, name: &str, place: usize, entry: &Entry, style: Style) {
    match style {
        Style::Json => json_line(out, name, entry),
        Style::Plain { name_width, is_coloured } => {
            let paint = |code: u8, text: &str| {
                if is_coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
            };
            let shown = entry.time.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true));
            let time = paint(DIM, &format!("{:24}", shown.unwrap_or_default()));
            let name = if name_width == 0 {
                String::new()
            } else {
                format!(" {}", paint(NAMES[place % NAMES.len()], &format!("{name:name_width$}")))
            };
            let level =
                entry.level.map_or_else(|| "     ".to_owned(), |level| shown_level(level, paint));
            let _never_fails = writeln!(out, "{time}{name} {level} {}", printable(&entry.said()));
            for line in &entry.more {
                let indent = " ".repeat(24);
                let _never_fails = writeln!(out, "{indent}{name}       {}", printable(line));
            }
        }
    }
}

fn shown_level(level: Level, paint: impl Fn(u8, &str) -> String) -> String {
    let code = match level {
        Level::Error => 31,
        Level::Warn => 33,
        Level::Info => 32,
        Level::Debug | Level::Trace => DIM,
    };
    paint(code, &format!("{:>5}", level.name().to_uppercase()))
}

fn json_line(out: &mut String, name: &str, entry: &Entry) {
    let mut line = json!({ "log": name, "message": entry.message });
    if let Some(time) = entry.time {
        line["time"] = json!(time.to_rfc3339_opts(SecondsFormat::Micros, true));
    }
    if let Some(level) = entry.level {
        line["level"] = json!(level.name());
    }
    if let Some(trace) = &entry.trace_id {
        line["trace_id"] = json!(trace);
    }
    if let Some(request) = &entry.request_id {
        line["request_id"] = json!(request);
    }
    if !entry.fields.is_empty() {
        line["fields"] = Value::Object(entry.fields.clone());
    }
    if !entry.more.is_empty() {
        line["more"] = json!(entry.more);
    }
    // JSON leaves out of its escapes what a terminal may obey.
    for sign in line.to_string().chars() {
        let _never_fails = if steers(sign) {
            let mut units = [0; 2];
            sign.encode_utf16(&mut units).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
        } else {
            out.write_char(sign)
        };
    }
    out.push('\n');
}

/// The text without what steers a terminal: whoever has it logged may be a stranger.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for sign in text.chars() {
        if steers(sign) {
            shown.extend(sign.escape_unicode());
        } else {
            shown.push(sign);
        }
    }
    Cow::Owned(shown)
}

/// Control characters but the tabulator, and what turns or hides the text around it.
fn steers(sign: char) -> bool {
    let is_format = matches!(sign,
        '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    (sign.is_control() && sign != '\t') || is_format
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PLAIN: Style = Style::Plain { name_width: 6, is_coloured: false };

    fn shown(line: &str, style: Style) -> String {
        let mut out = String::new();
        write(&mut out, "users", 0, &Entry::begin(line).unwrap(), style);
        out
    }

    #[test]
    fn a_line_of_json_is_shown_as_a_person_reads_it() {
        let line = r#"{"timestamp":"2026-01-15T12:00:00.123456Z","level":"WARN","service":"s","target":"t",
            "message":"slow","payment.id":"p-1","cause":"a b","took_ms":7,"span_id":"1","trace_id":"13a2124116acc68c586b5bc363e699b0"}"#;
        assert_eq!(
            shown(line, PLAIN),
            "2026-01-15T12:00:00.123Z users   WARN slow cause=\"a b\" payment.id=p-1 took_ms=7 trace_id=13a21241\n"
        );
    }

    #[test]
    fn nothing_that_is_logged_steers_the_terminal() {
        let evil = "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\r\u{8}\u{202e}\u{200b}";
        let text = format!("2026-01-15T12:00:00Z  INFO a{evil}b");
        let json = json!({"timestamp": "2026-01-15T12:00:00Z", "message": evil, "a\u{1b}[1m": evil,
            "trace_id": evil, "request.id": evil});
        for line in [text, json.to_string()] {
            for style in [PLAIN, Style::Json] {
                let shown = shown(&line, style);
                let (line, end) = shown.split_at(shown.len() - 1);
                assert_eq!(end, "\n");
                assert!(!line.contains(steers), "{line:?}");
            }
            let back: Value = serde_json::from_str(&shown(&line, Style::Json)).unwrap();
            assert!(back["message"].as_str().unwrap().contains(evil), "tools get what was logged");
        }
        let mut out = String::new();
        let more = Entry { more: vec![evil.to_owned()], ..Entry::default() };
        write(&mut out, "users", 0, &more, PLAIN);
        assert!(!out.replace('\n', "").contains(steers), "{out:?}");
    }

    #[test]
    fn colours_are_written_only_where_they_are_asked_for() {
        let line = "2026-01-15T12:00:00Z ERROR no";
        let coloured = Style::Plain { name_width: 6, is_coloured: true };
        assert!(shown(line, coloured).contains("\x1b[31mERROR\x1b[0m"));
        assert!(!shown(line, PLAIN).contains('\x1b'));
    }
}
