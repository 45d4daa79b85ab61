//! What a setting holds: its type, its bounds, and how each is written.

use anyhow::{Result, ensure};

/// What a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// true or false
    Bool,
    /// A whole number, from 0
    Integer,
    /// One line
    Text,
    /// A number with a unit, such as 250ms, 30s or 14d
    Duration,
    /// A number of bytes
    Bytes,
    /// An http or https URL
    Address,
    /// Words, separated by commas
    List,
}

impl Kind {
    /// The default, once it is one.
    pub(super) fn checked(self, value: &str) -> Result<String> {
        let value = value.trim();
        let is = match self {
            Self::Bool => value == "true" || value == "false",
            Self::Integer | Self::Bytes => value.parse::<u64>().is_ok(),
            Self::Duration => {
                let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
                let unit = &value[digits.len()..];
                digits.parse::<u32>().is_ok() && ["ms", "s", "m", "h", "d"].contains(&unit)
            }
            Self::Address => is_address(value),
            Self::Text => !value.is_empty(),
            Self::List => true,
        };
        let is_line =
            !value.contains(['"', '\\', '#', '$', '@']) && !value.chars().any(char::is_control);
        ensure!(is && is_line, "`{value}` is no {}", self.in_words());
        Ok(value.to_owned())
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Bool => "bool: true or false",
            Self::Integer => "integer, from 0",
            Self::Text => "text of one line, without quotes and signs of the language",
            Self::Duration => "duration, such as 250ms, 30s, 5m, 24h or 14d",
            Self::Bytes => "number of bytes",
            Self::Address => "address, such as https://api.example.com",
            Self::List => "list of words, separated by commas",
        }
    }

    /// As the settings file has it.
    pub(super) fn in_file(self, value: &str) -> String {
        match self {
            Self::Bool | Self::Integer | Self::Bytes => value.to_owned(),
            Self::Text | Self::Duration | Self::Address => format!("\"{value}\""),
            Self::List => {
                let words = value.split(',').map(str::trim).filter(|word| !word.is_empty());
                format!(
                    "[{}]",
                    words.map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
                )
            }
        }
    }

    pub(super) fn rust(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Integer | Self::Bytes => "u64",
            Self::Text | Self::Address => "String",
            Self::Duration => "Duration",
            Self::List => "Vec<String>",
        }
    }

    pub(super) fn import(self) -> Option<&'static str> {
        (self == Self::Duration).then_some("use std::time::Duration;")
    }

    /// What is looked at once it is read, as an `Option<ValidationError>`; none where each value will do.
    pub(super) fn check(self, path: &str, key: &str, default: &str) -> Option<String> {
        Some(match self {
            Self::Bool => return None,
            Self::Integer | Self::Bytes => {
                let max = grouped(self.max(default));
                format!("ValidationError::outside({path:?}, self.{key}, 0..={max})")
            }
            Self::Duration => format!(
                "ValidationError::outside({path:?}, self.{key}, \
                 Duration::from_millis(1)..=Duration::from_hours(24 * 3_650))"
            ),
            Self::Text => format!(
                "ValidationError::unless((1..=1_000).contains(&self.{key}.len()), {path:?}, \
                 \"it has 1 to 1000 bytes\")"
            ),
            Self::Address => format!(
                "ValidationError::unless([\"http://\", \"https://\"].iter().any(|scheme| \
                 self.{key}.starts_with(scheme)), {path:?}, \"it is written https://host\")"
            ),
            Self::List => format!(
                "ValidationError::unless(self.{key}.len() <= 100, {path:?}, \"it has 100 words at most\")"
            ),
        })
    }

    /// A value that is valid, and one that is not.
    pub(super) fn examples(self, default: &str) -> [String; 2] {
        let bad = match self {
            Self::Bool => "perhaps".to_owned(),
            Self::Integer | Self::Bytes => (u128::from(self.max(default)) + 1).to_string(),
            Self::Text => "x".repeat(1_001),
            Self::Duration => "0s".to_owned(),
            Self::Address => "ftp://localhost".to_owned(),
            Self::List => vec!["x"; 101].join(","),
        };
        [default.to_owned(), bad]
    }

    /// The highest number: a hundred times the default, at least a thousand; of bytes, a gibibyte.
    fn max(self, default: &str) -> u64 {
        let default: u64 = default.parse().unwrap_or_default();
        let least = if self == Self::Bytes { 1 << 30 } else { 1_000 };
        default.saturating_mul(100).max(least)
    }
}

/// As Rust writes a long number: `1_048_576`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let place = |(at, digit): (usize, char)| {
        let left = digits.len() - at;
        if at > 0 && left.is_multiple_of(3) { format!("_{digit}") } else { digit.to_string() }
    };
    digits.chars().enumerate().map(place).collect()
}

fn is_address(value: &str) -> bool {
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_default_that_is_not_of_its_kind_says_what_would_be() {
        for (kind, value, expected) in [
            (Kind::Bool, "yes", "true or false"),
            (Kind::Integer, "-1", "from 0"),
            (Kind::Duration, "14", "14d"),
            (Kind::Duration, "d", "14d"),
            (Kind::Bytes, "1k", "number of bytes"),
            (Kind::Address, "localhost:80", "https://"),
            (Kind::Text, "a\"b", "one line"),
        ] {
            let error = kind.checked(value).unwrap_err().to_string();
            assert!(error.contains(expected), "{value}: {error}");
        }
        assert_eq!(Kind::List.in_file("a, b"), "[\"a\", \"b\"]");
        assert_eq!(Kind::Duration.in_file(&Kind::Duration.checked("14d").unwrap()), "\"14d\"");
    }

    #[test]
    fn the_bounds_of_a_number_hold_its_default() {
        assert_eq!([1, 1_000, 1 << 30].map(grouped), ["1", "1_000", "1_073_741_824"]);
        for (kind, default) in [(Kind::Integer, "0"), (Kind::Integer, "50000"), (Kind::Bytes, "1")]
        {
            let [good, bad] = kind.examples(default);
            let max = kind.max(default);
            assert!(
                good.parse::<u64>().unwrap() <= max && bad.parse::<u128>().unwrap() > max.into()
            );
        }
    }
}
