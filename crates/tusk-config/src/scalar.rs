//! Lenient readings of a text: truth values, durations, numbers; and how a value is shown.

use std::time::Duration;

use crate::syntax::number::{self, Number};

/// How much of a value a message shows, in characters.
const SHOWN_MAX: usize = 60;

/// Seconds in each unit of a duration.
const UNITS: [(&str, f64); 8] = [
    ("ms", 0.001),
    ("us", 0.000_001),
    ("µs", 0.000_001),
    ("ns", 0.000_000_001),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86400.0),
];

/// The longest duration that is read, in seconds: a hundred years, so that adding it to a time
/// never overflows.
const DURATION_MAX: f64 = 100.0 * 366.0 * 86400.0;

/// `true`, `yes`, `on`, `1` and their opposites, in any case.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| word.eq_ignore_ascii_case(text.trim()));
    if is(["true", "yes", "on", "1"]) {
        Some(true)
    } else if is(["false", "no", "off", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// A number, also with leading zeros.
pub(crate) fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    number::parse(text).or_else(|| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok().map(Number::Int))?
    })
}

/// `30` (seconds), `250ms`, `5s`, `2m`, `1h`, `1h30m`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if let Some(number) = number(rest) {
        return seconds(match number {
            Number::Int(value) => approximate(value),
            Number::Float(value) => value,
            Number::TooLarge => return None,
        });
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')?;
        let value = match number(&rest[..digits])? {
            Number::Int(value) => approximate(value),
            Number::Float(value) => value,
            Number::TooLarge => return None,
        };
        let tail = rest[digits..].trim_start();
        let unit = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == &tail[..unit])?;
        total += value * scale;
        rest = tail[unit..].trim_start();
    }
    if text.trim().is_empty() { None } else { seconds(total) }
}

/// This many seconds, to the nanosecond; `None` when negative or longer than a hundred years.
pub(crate) fn seconds(value: f64) -> Option<Duration> {
    let in_range = (0.0..=DURATION_MAX).contains(&value);
    in_range.then(|| Duration::try_from_secs_f64(value).ok())?
}

#[allow(clippy::cast_precision_loss, reason = "read as a float because that was asked for")]
pub(crate) fn approximate(value: i128) -> f64 {
    value as f64
}

/// A text in quotes, on one line, cut when long.
pub(crate) fn shown(text: &str) -> String {
    if text.chars().count() <= SHOWN_MAX {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(SHOWN_MAX).collect();
    format!("{start:?}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_with_and_without_units() {
        let cases = [
            ("30", 30_000),
            ("0", 0),
            ("0.5", 500),
            ("250ms", 250),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1h30m", 5_400_000),
            (" 1m 30s ", 90_000),
            ("1d", 86_400_000),
        ];
        for (text, millis) in cases {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "5x", "-5", "5s6", "1e300", "9999999999999999999", "five", "5 s 3"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn truth_in_any_spelling() {
        assert_eq!(boolean("TRUE"), Some(true));
        assert_eq!(boolean("off"), Some(false));
        assert_eq!(boolean("maybe"), None);
    }
}
