//! Values outside of their bounds: the same words for all of them.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::ValidationError;

/// A kind of value that has bounds, and is told in words.
pub trait Bounded: PartialOrd + Copy {
    /// As the settings have it: `250ms`, `0.5`, `65535`.
    fn in_words(self) -> String;
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Bounded for $number {
            fn in_words(self) -> String {
                self.to_string()
            }
        }
    )*};
}

numbers!(u16 u32 u64 usize f64);

/// The units of a time, in nanoseconds.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl Bounded for Duration {
    /// In the largest unit of which it is a whole number.
    fn in_words(self) -> String {
        let nanos = self.as_nanos();
        let unit = UNITS.iter().find(|(_, unit)| nanos > 0 && nanos.is_multiple_of(*unit));
        unit.map_or_else(|| "0s".to_owned(), |(name, unit)| format!("{}{name}", nanos / unit))
    }
}

impl ValidationError {
    /// The key at `path` has a `value` that is not within its bounds; nothing when it is.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tusk_config::ValidationError;
    ///
    /// let bounds = Duration::from_millis(100)..=Duration::from_secs(300);
    /// let error = ValidationError::outside("relay.confirm_timeout", Duration::ZERO, bounds).unwrap();
    /// assert_eq!(error.text(), "0s is not within 100ms to 5m");
    /// assert!(ValidationError::outside("a.ratio", 0.5, 0.0..=1.0).is_none());
    /// ```
    pub fn outside<T: Bounded>(
        path: impl Into<String>,
        value: T,
        bounds: RangeInclusive<T>,
    ) -> Option<Self> {
        if bounds.contains(&value) {
            return None;
        }
        let min = bounds.start().in_words();
        let max = bounds.end().in_words();
        let text = format!("{} is not within {min} to {max}", value.in_words());
        Some(Self::at(path, text))
    }

    /// The key at `path` does not fit unless `fits`; `text` says what is wrong.
    pub fn unless(fits: bool, path: impl Into<String>, text: impl Into<String>) -> Option<Self> {
        (!fits).then(|| Self::at(path, text))
    }
}
