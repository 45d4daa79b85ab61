//! Durations as they are typed, and times as they are shown.

use std::{ops::RangeInclusive, time::Duration};

use chrono::DateTime;
use faults::FaultKind;

/// The longest delay of a wire or of the payment provider.
const DELAY_MAX: Duration = Duration::from_secs(60);
/// The longest time after which a fault ends by itself.
const LIMIT_MAX: Duration = Duration::from_hours(1);

/// From 1 ms to a minute.
pub(super) fn delay(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(1)..=DELAY_MAX, "it is from 1ms to 1m")
}

/// From a second to an hour.
pub(super) fn limit(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_secs(1)..=LIMIT_MAX, "it is from 1s to 1h")
}

/// At most a minute.
pub(super) fn pause(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO..=DELAY_MAX, "it is at most 1m")
}

fn within(text: &str, bounds: RangeInclusive<Duration>, fault: &str) -> Result<Duration, String> {
    parse(text)
        .and_then(|length| bounds.contains(&length).then_some(length).ok_or(fault.to_owned()))
}

/// `300ms`, `5s`, `2m`, `1h`.
fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(text.len());
    let factor = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write 300ms, 5s, 2m or 1h".to_owned()),
    };
    let number: u64 = text[..digits].parse().map_err(|_| "write 300ms, 5s, 2m or 1h".to_owned())?;
    let millis = number.checked_mul(factor).ok_or("it is too long")?;
    Ok(Duration::from_millis(millis))
}

/// Milliseconds, of what is within the bounds here.
pub(super) fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// So much slower.
pub(super) fn slow(by: Duration) -> FaultKind {
    FaultKind::Slow { by_ms: millis(by) }
}

/// A time of milliseconds since 1970.
pub(super) fn time(millis: u64) -> String {
    let time = i64::try_from(millis).ok().and_then(DateTime::from_timestamp_millis);
    time.map_or_else(|| millis.to_string(), |time| time.format("%H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_and_bounds() {
        assert_eq!(delay("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(limit("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(pause("0s"), Ok(Duration::ZERO));
        for text in ["", "5", "s", "-1s", "1.5s", "1d", "61s", "0ms", "99999999999999999999s"] {
            assert!(delay(text).is_err(), "{text}");
        }
        assert!(delay("18446744073709551615h").is_err());
        assert!(limit("999ms").is_err() && limit("61m").is_err() && pause("61s").is_err());
    }
}
