//! Card numbers: to be recognised, so that none is ever stored.

/// A shorter run of digits is no card number (ISO/IEC 7812 has 12 to 19).
const DIGITS_MIN: usize = 12;

/// Whether the text holds so many digits in a row, of any script, spaces of any kind and hyphens
/// between them left aside, that they may be a card's number.
pub(super) fn may_hold_number(text: &str) -> bool {
    let mut run = 0;
    for character in text.chars() {
        match character {
            digit if digit.is_numeric() => run += 1,
            gap if gap == '-' || gap.is_whitespace() => {}
            _ => run = 0,
        }
        if run >= DIGITS_MIN {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_however_they_are_written() {
        let unbroken = "4242\u{a0}4242\u{a0}4242\u{a0}4242";
        let wide = "\u{ff14}\u{ff12}".repeat(8);
        for text in [
            "4242424242424242",
            "card 4242 4242 4242 4242!",
            "4242-4242-4242-4242",
            unbroken,
            wide.as_str(),
        ] {
            assert!(may_hold_number(text), "{text}");
        }
        for text in ["", "order 20260101-77", "12345678901", "4242x4242x4242x4242"] {
            assert!(!may_hold_number(text), "{text}");
        }
    }
}
