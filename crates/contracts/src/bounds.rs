//! What a field of an event may be: lengths, amounts, currencies and times, checked where an event
//! is published and where it is read.
//!
//! A stranger can write to the exchange, and a publisher can have a bug. What passes here fits the
//! readers' columns and mails; what does not is refused at the publisher, where somebody can still
//! say no, or dead-lettered at the reader. A fault names the field and never its value, which may be
//! personal data.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer};

use crate::currency;

/// The longest address, in bytes (RFC 5321).
pub const EMAIL_BYTES_MAX: usize = 254;
/// The longest name of a person, in characters.
pub const NAME_CHARS_MAX: usize = 100;
/// The longest word that names one of a few things, such as a kind or a channel, in characters.
pub const WORD_CHARS_MAX: usize = 64;
/// The longest sentence, such as a reason, in characters.
pub const TEXT_CHARS_MAX: usize = 1_000;
/// The most words in a list.
pub const WORDS_MAX: usize = 32;
/// The largest amount, in minor units: fifteen digits, which every JSON reader holds exactly.
pub const AMOUNT_MAX: i64 = 999_999_999_999_999;
/// How far the time of an event may be ahead of the clock of whoever looks, in hours. Clocks differ;
/// a reader that orders by time must not be held up for years by one event.
pub const HOURS_AHEAD_MAX: i64 = 24;
/// The earliest time of an event, in seconds since 1970: 2000-01-01T00:00:00Z.
const EARLIEST: i64 = 946_684_800;

/// What is wrong with a field of an event, without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} {fault}")]
pub struct FieldFault {
    /// The field's name.
    pub field: &'static str,
    /// What is wrong with it, such as `is longer than 100 characters`.
    pub fault: &'static str,
}

/// Why a field may not be what it is; nothing when it may.
pub type Checked = Result<(), FieldFault>;

/// One line that looks like an address and is at most [`EMAIL_BYTES_MAX`] bytes long. Whether mail
/// reaches it is the publisher's concern.
pub fn email(field: &'static str, value: &str) -> Checked {
    ensure(field, value.len() <= EMAIL_BYTES_MAX, "is longer than 254 bytes")?;
    ensure(field, is_line(value), "has a control character")?;
    let has_both_sides = value.split_once('@').is_some_and(|(one, other)| {
        !one.is_empty() && !other.is_empty() && !value.contains(char::is_whitespace)
    });
    ensure(field, has_both_sides, "is no address")
}

/// One line of at most [`NAME_CHARS_MAX`] characters; may be empty.
pub fn name(field: &'static str, value: &str) -> Checked {
    ensure(field, is_within(value, NAME_CHARS_MAX), "is longer than 100 characters")?;
    ensure(field, is_line(value), "has a control character")
}

/// One line of at most [`WORD_CHARS_MAX`] characters; may be empty.
pub fn word(field: &'static str, value: &str) -> Checked {
    ensure(field, is_within(value, WORD_CHARS_MAX), "is longer than 64 characters")?;
    ensure(field, is_line(value), "has a control character")
}

/// At most [`WORDS_MAX`] [words](word).
pub fn words(field: &'static str, values: &[String]) -> Checked {
    ensure(field, values.len() <= WORDS_MAX, "has more than 32 items")?;
    values.iter().try_for_each(|value| word(field, value))
}

/// At most [`TEXT_CHARS_MAX`] characters; may be empty.
pub fn text(field: &'static str, value: &str) -> Checked {
    ensure(field, is_within(value, TEXT_CHARS_MAX), "is longer than 1000 characters")
}

/// More than nothing, and at most [`AMOUNT_MAX`] minor units.
pub fn amount(field: &'static str, value: i64) -> Checked {
    ensure(field, value > 0, "is not positive")?;
    ensure(field, value <= AMOUNT_MAX, "has more than fifteen digits")
}

/// A code of ISO 4217 in upper case.
pub fn currency(field: &'static str, value: &str) -> Checked {
    ensure(field, currency::is_known(value), "is no currency of ISO 4217 in upper case")
}

/// The number of a change: 1 or more.
pub fn version(field: &'static str, value: Option<i64>) -> Checked {
    ensure(field, value.is_none_or(|version| version > 0), "is not positive")
}

/// How many there are of something that there are few of: none, or at most [`WORDS_MAX`].
pub fn count(field: &'static str, value: i64) -> Checked {
    ensure(
        field,
        (0..=WORDS_MAX).contains(&usize::try_from(value).unwrap_or(usize::MAX)),
        "is not 0 to 32",
    )
}

/// From 2000 on, and no more than [`HOURS_AHEAD_MAX`] after `now`.
pub fn time(field: &'static str, value: DateTime<Utc>, now: DateTime<Utc>) -> Checked {
    ensure(field, value.timestamp() >= EARLIEST, "is before 2000")?;
    let is_near = value.signed_duration_since(now) <= TimeDelta::hours(HOURS_AHEAD_MAX);
    ensure(field, is_near, "is more than a day in the future")
}

/// The fault, unless the condition is met.
fn ensure(field: &'static str, is_met: bool, fault: &'static str) -> Checked {
    if is_met { Ok(()) } else { Err(FieldFault { field, fault }) }
}

fn is_within(value: &str, chars_max: usize) -> bool {
    // A character takes a byte at least and four at most.
    value.len() <= chars_max || (value.len() <= 4 * chars_max && value.chars().count() <= chars_max)
}

fn is_line(value: &str) -> bool {
    !value.contains(char::is_control)
}

/// Reads `null` as if the field were left out: some encoders write every field that they know.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_counted_in_characters_and_at_their_bounds() {
        assert_eq!(name("name", &"é".repeat(100)), Ok(()));
        let fault = name("name", &"é".repeat(101)).unwrap_err();
        assert_eq!(fault.to_string(), "name is longer than 100 characters");
        assert_eq!(text("reason", &"é".repeat(1_000)), Ok(()));
        assert!(text("reason", &"x".repeat(1_001)).is_err());
        assert!(word("kind", "two\nlines").is_err());
        assert!(words("changed", &vec![String::new(); 33]).is_err());
    }

    #[test]
    fn an_address_has_two_sides_on_one_line() {
        for good in ["ada@example.com", "\"a b\"@example.com".replace(' ', "_").as_str(), "a@b"] {
            assert_eq!(email("email", good), Ok(()), "{good}");
        }
        for bad in ["", "ada", "@example.com", "ada@", "a@b\r\nBcc: c@d", "a b@example.com"] {
            assert!(email("email", bad).is_err(), "{bad}");
        }
        assert!(email("email", &format!("{}@b", "x".repeat(253))).is_err());
    }

    #[test]
    fn money_is_a_positive_amount_of_a_known_currency() {
        for good in [1, AMOUNT_MAX] {
            assert_eq!(amount("amount", good), Ok(()));
        }
        for bad in [i64::MIN, -1, 0, AMOUNT_MAX + 1, i64::MAX] {
            assert!(amount("amount", bad).is_err(), "{bad}");
        }
        assert_eq!(currency("currency", "EUR"), Ok(()));
        for bad in ["eur", "", "EURO", "XQZ", "€"] {
            assert!(currency("currency", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_is_neither_long_past_nor_far_ahead() {
        let now: DateTime<Utc> = "2026-01-15T09:30:00Z".parse().unwrap();
        let at = |text: &str| time("timestamp", text.parse().unwrap(), now);
        assert_eq!(at("2026-01-16T09:30:00Z"), Ok(()));
        assert_eq!(at("2000-01-01T00:00:00Z"), Ok(()));
        assert!(at("2026-01-16T09:30:01Z").is_err());
        assert!(at("1999-12-31T23:59:59Z").is_err());
        assert!(time("timestamp", DateTime::<Utc>::MIN_UTC, now).is_err());
        assert!(time("timestamp", DateTime::<Utc>::MAX_UTC, now).is_err());
    }
}
