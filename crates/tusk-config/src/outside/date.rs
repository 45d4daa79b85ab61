//! The letters of `@date`, as in PHP's `date()`; all in UTC.

use std::fmt::Write;
use std::time::SystemTime;

use chrono::{DateTime, Utc};

/// What can be asked for.
pub(crate) const HELP: &str = "use Y y m n d j D l M F H G h g i s a A N z U c e P, \
    and \\ before a letter that is meant as text; without a format: c (RFC 3339)";

/// Letters and what chrono calls them.
const LETTERS: [(char, &str); 23] = [
    ('Y', "%Y"),
    ('y', "%y"),
    ('m', "%m"),
    ('n', "%-m"),
    ('d', "%d"),
    ('j', "%-d"),
    ('D', "%a"),
    ('l', "%A"),
    ('M', "%b"),
    ('F', "%B"),
    ('H', "%H"),
    ('G', "%-H"),
    ('h', "%I"),
    ('g', "%-I"),
    ('i', "%M"),
    ('s', "%S"),
    ('a', "%P"),
    ('A', "%p"),
    ('N', "%u"),
    ('U', "%s"),
    ('c', "%Y-%m-%dT%H:%M:%SZ"),
    ('e', "UTC"),
    ('P', "+00:00"),
];

/// The time in a format; an unknown letter is the error.
pub(crate) fn format(now: SystemTime, format: &str) -> Result<String, char> {
    let now = DateTime::<Utc>::from(now);
    let mut text = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        let known = LETTERS.iter().find(|(known, _)| *known == letter);
        match (letter, known) {
            ('\\', _) => text.extend(letters.next()),
            (_, Some((_, name))) => drop(write!(text, "{}", now.format(name))),
            ('z', _) => drop(write!(text, "{}", chrono::Datelike::ordinal0(&now))),
            (letter, None) if letter.is_alphabetic() => return Err(letter),
            (letter, None) => text.push(letter),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    #[test]
    fn letters_are_those_of_php() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_768_469_405);
        let cases = [
            ("c", "2026-01-15T09:30:05Z"),
            ("Y-m-d H:i:s", "2026-01-15 09:30:05"),
            ("D, j M y, g:i a", "Thu, 15 Jan 26, 9:30 am"),
            ("l F n N z U e P", "Thursday January 1 4 14 1768469405 UTC +00:00"),
            ("\\Y G A h", "Y 9 AM 09"),
        ];
        for (asked, expected) in cases {
            assert_eq!(format(now, asked).unwrap(), expected, "{asked}");
        }
        assert_eq!(format(now, "Q"), Err('Q'));
    }
}
