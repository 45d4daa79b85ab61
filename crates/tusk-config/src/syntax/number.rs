//! Numbers: decimal, hexadecimal, octal, binary, fractions, exponents, `_` between digits.

use std::borrow::Cow;

/// A number as written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Int(i128),
    Float(f64),
    /// Has the form of a whole number but does not fit into 128 bits.
    TooLarge,
}

/// Reads the whole of `text` as a number; `None` when it is none. A whole number with leading zeros
/// is none, because it is an identifier more often than a number and would lose its zeros.
pub(crate) fn parse(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if let Some(value) = small(digits) {
        return Some(Number::Int(if negative { -value } else { value }));
    }
    let radix = match digits.get(..2) {
        Some("0x" | "0X") => 16,
        Some("0b" | "0B") => 2,
        Some("0o" | "0O") => 8,
        _ => return decimal(digits, negative),
    };
    whole(&digits[2..], radix, negative)
}

/// Digits only, few enough for 64 bits: nearly every number.
fn small(digits: &str) -> Option<i128> {
    let short = (1..=18).contains(&digits.len()) && !digits.starts_with('0');
    let value =
        |value: u64, byte: u8| byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0'));
    short.then(|| digits.bytes().try_fold(0, value).map(i128::from))?
}

/// `8000-9000`: whole numbers without leading zeros, the first not above the second. Anything else
/// with dashes is a text, dates among them.
pub(crate) fn range(text: &str) -> Option<(u64, u64)> {
    let bound = |digits: &str| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let padded = digits.len() > 1 && digits.starts_with('0');
        (plain && !padded).then(|| digits.parse().ok())?
    };
    let (first, last) = text.split_once('-')?;
    let (first, last): (u64, u64) = (bound(first)?, bound(last)?);
    (first <= last).then_some((first, last))
}

fn decimal(digits: &str, negative: bool) -> Option<Number> {
    if digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') {
        let padded = digits.len() > 1 && digits.starts_with('0');
        return if padded { None } else { whole(digits, 10, negative) };
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let (units, fraction) = match mantissa.split_once('.') {
        Some((units, fraction)) => (units, Some(fraction)),
        None => (mantissa, None),
    };
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    let parts = [Some(units), fraction, exponent];
    if !parts.into_iter().flatten().all(|part| well_formed(part, 10)) {
        return None;
    }
    let digits = &*without_separators(digits);
    let value: f64 = digits.parse().ok()?;
    if value.is_infinite() {
        return Some(Number::TooLarge);
    }
    Some(Number::Float(if negative { -value } else { value }))
}

fn without_separators(digits: &str) -> Cow<'_, str> {
    if digits.contains('_') { digits.replace('_', "").into() } else { digits.into() }
}

fn whole(digits: &str, radix: u32, negative: bool) -> Option<Number> {
    if !well_formed(digits, radix) {
        return None;
    }
    let digits = &*without_separators(digits);
    Some(match i128::from_str_radix(digits, radix) {
        Ok(value) => Number::Int(if negative { -value } else { value }),
        Err(_) => Number::TooLarge,
    })
}

/// Digits, with single `_` between them only.
fn well_formed(digits: &str, radix: u32) -> bool {
    digits.split('_').all(|group| !group.is_empty() && group.chars().all(|c| c.is_digit(radix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_number() {
        let whole = [("0", 0), ("3001", 3001), ("-5", -5), ("+5", 5), ("1_000_000", 1_000_000)];
        let other = [
            ("0xFF", 255),
            ("0b101", 5),
            ("0o17", 15),
            ("-0x10", -16),
            ("0xdead_beef", 0xdead_beef),
        ];
        for (text, value) in whole.into_iter().chain(other) {
            assert_eq!(parse(text), Some(Number::Int(value)), "{text}");
        }
        for (text, value) in
            [("0.1", 0.1), ("-1.5", -1.5), ("1e3", 1000.0), ("2.5E-1", 0.25), ("1_0.5", 10.5)]
        {
            assert_eq!(parse(text), Some(Number::Float(value)), "{text}");
        }
    }

    #[test]
    fn a_range_has_two_whole_numbers_in_order() {
        assert_eq!(range("8000-9000"), Some((8000, 9000)));
        assert_eq!(range("0-0"), Some((0, 0)));
        for text in ["2024-01", "2024-01-15", "9-1", "1-", "-1", "a-b", "1-2-3", "01-02", ""] {
            assert_eq!(range(text), None, "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_number_is_none() {
        for text in [
            "",
            "-",
            "_1",
            "1_",
            "1__0",
            "007",
            "1.",
            ".5",
            "1.2.3",
            "5s",
            "0x",
            "0b2",
            "e3",
            "inf",
            "nan",
            "1e",
            "8000-9000",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"9".repeat(60)), Some(Number::TooLarge));
        assert_eq!(parse("1e999"), Some(Number::TooLarge));
    }
}
