//! Sizes in bytes: `65536`, `64KiB`, `10MB`.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};

/// The name under which [`ByteSize`] asks our deserialiser for its content.
pub(crate) const BYTES_NAME: &str = "$tusk::ByteSize";

/// Units and their bytes: those of the SI, those of the IEC, and both as Kubernetes spells them.
const UNITS: [(&str, u64); 18] = [
    ("", 1),
    ("B", 1),
    ("k", 1_000),
    ("K", 1_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("Ki", 1 << 10),
    ("KiB", 1 << 10),
    ("M", 1_000_000),
    ("MB", 1_000_000),
    ("Mi", 1 << 20),
    ("MiB", 1 << 20),
    ("G", 1_000_000_000),
    ("GB", 1_000_000_000),
    ("Gi", 1 << 30),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// A number of bytes, written as a number or with a unit.
///
/// ```
/// use std::collections::BTreeMap;
/// use tusk_config::{ByteSize, Loader, Vars};
///
/// let loader = Loader::new("config").text("a.tsk", "body: 64KiB\ndisk: \"1.5 GB\"").vars(Vars::empty());
/// let sizes: BTreeMap<String, ByteSize> = loader.load()?;
/// assert_eq!((sizes["body"].bytes(), sizes["disk"].bytes()), (65_536, 1_500_000_000));
/// # Ok::<(), tusk_config::Errors>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// This many bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '_')));
        let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
        let (_, scale) = UNITS.iter().find(|(known, _)| *known == unit.trim_start())?;
        let number = number.replace('_', "");
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(*scale).map(Self);
        }
        #[allow(clippy::cast_precision_loss, reason = "a fraction of a unit")]
        let bytes = number.parse::<f64>().ok()? * *scale as f64;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        (0.0..9e15).contains(&bytes).then(|| Self(bytes.round() as u64))
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(BYTES_NAME, Size)
    }
}

struct Size;

impl<'de> Visitor<'de> for Size {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size (bytes, or for example 64KiB, 10MB)")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<ByteSize, D::Error> {
        d.deserialize_any(self)
    }

    fn visit_u64<E>(self, bytes: u64) -> Result<ByteSize, E> {
        Ok(ByteSize(bytes))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
        ByteSize::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn units_of_both_kinds() {
        let cases = [
            ("0", 0),
            ("65_536", 65_536),
            ("64KiB", 65_536),
            ("64 Ki", 65_536),
            ("1.5MB", 1_500_000),
            ("2G", 2_000_000_000),
            ("0.5 KiB", 512),
        ];
        for (text, bytes) in cases {
            assert_eq!(ByteSize::parse(text), Some(ByteSize(bytes)), "{text}");
        }
        for text in
            ["", "KiB", "-1", "1 kib", "1XB", "1.2.3", "99999999999999999999", "9e9", "16777216TiB"]
        {
            assert_eq!(ByteSize::parse(text), None, "{text}");
        }
    }

    #[test]
    fn other_formats_give_it_too() {
        assert_eq!(serde_json::from_str::<ByteSize>("\"1KiB\"").unwrap().bytes(), 1024);
        assert_eq!(serde_json::from_str::<ByteSize>("7").unwrap().bytes(), 7);
    }
}
