//! Whole numbers that are written with a fraction or an exponent.
//!
//! JSON Schema takes `5.0` for an integer, and JSON has one kind of numbers. It is the text that is
//! looked at: in a float, `9007199254740993.0` would have become another number.

/// Digits of the largest integer that is read.
const DIGITS_MAX: usize = 20;

/// The JSON text with every number that is whole written as an integer; none if nothing changes.
pub(crate) fn rewritten(text: &str) -> Option<String> {
    let mut rewritten = String::new();
    let mut rest = text;
    let mut taken = 0;
    while let Some(at) = rest.find(|sign: char| sign == '"' || sign == '-' || sign.is_ascii_digit())
    {
        let begin = text.len() - rest.len() + at;
        let length = match text.as_bytes()[begin] {
            b'"' => string(&text[begin..]),
            _ => number(&text[begin..]),
        };
        let end = begin + length;
        if let Some(integer) = integer(&text[begin..end]) {
            rewritten.push_str(&text[taken..begin]);
            rewritten.push_str(&integer);
            taken = end;
        }
        rest = &text[end..];
    }
    (taken > 0).then(|| rewritten + &text[taken..])
}

/// The length of the string that a text begins with, its quotation marks included.
fn string(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |end| end + 2)
}

/// The length of the number that a text begins with.
fn number(text: &str) -> usize {
    let is_part = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    text.bytes().position(|byte| !is_part(byte)).unwrap_or(text.len())
}

/// A number with a fraction or an exponent as an integer, if it is exactly one.
fn integer(number: &str) -> Option<String> {
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |number| ("-", number));
    if !number.contains(['.', 'e', 'E']) {
        return None;
    }
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{before}{behind}");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let zeros = digits.len() - digits.trim_start_matches('0').len();
    let digits = &digits[zeros..];
    if digits.is_empty() {
        return Some("0".to_owned());
    }
    // How many digits stand before the decimal point.
    let whole =
        i64::try_from(before.len()).ok()? + exponent.parse::<i64>().ok()?.clamp(-1 << 32, 1 << 32);
    let whole = usize::try_from(whole)
        .ok()?
        .checked_sub(zeros)
        .filter(|whole| (1..=DIGITS_MAX).contains(whole))?;
    let (kept, fraction) = digits.split_at_checked(whole).unwrap_or((digits, ""));
    let is_whole = fraction.bytes().all(|digit| digit == b'0');
    is_whole.then(|| format!("{sign}{kept:0<whole$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_whole_is_written_as_an_integer() {
        for (number, expected) in [
            ("5.0", "5"),
            ("5.000", "5"),
            ("5e2", "500"),
            ("5E+2", "500"),
            ("1.5e1", "15"),
            ("0.05e2", "5"),
            ("100e-2", "1"),
            ("120.0e-1", "12"),
            ("-7.0", "-7"),
            ("-0.0", "0"),
            ("0e5", "0"),
            ("0.0e-9", "0"),
            ("9007199254740993.0", "9007199254740993"),
            ("1.8446744073709551615e19", "18446744073709551615"),
        ] {
            assert_eq!(rewritten(number).as_deref(), Some(expected), "{number}");
        }
    }

    #[test]
    fn any_other_number_stays_as_it_is() {
        for number in [
            "5",
            "-5",
            "0",
            "5.5",
            "5e-1",
            "0.5",
            "1e-3",
            "12e-1",
            "-0.1",
            "1e20",
            "1e400",
            "1e-400",
            "9007199254740993.00000000000000000001",
            "1e99999999999999999999",
            "1e",
            "1.e",
            "-",
            "1-2",
            "1.2.3",
            "1e1e1",
            "1e+",
        ] {
            assert_eq!(rewritten(number), None, "{number}");
        }
    }

    #[test]
    fn strings_and_what_is_around_numbers_stay_as_they_are() {
        let text = r#"{"a 1.0": [1.0, "2.0", "\"3.0", "\\", 4.0], "5.0\\\"6.0": -7e0 , "x": true}"#;
        let expected = r#"{"a 1.0": [1, "2.0", "\"3.0", "\\", 4], "5.0\\\"6.0": -7 , "x": true}"#;
        assert_eq!(rewritten(text).as_deref(), Some(expected));
        assert_eq!(rewritten("\"1.0"), None);
        assert_eq!(rewritten("\u{e4}1.0\u{e4}").as_deref(), Some("\u{e4}1\u{e4}"));
    }
}
