//! Card numbers: to be recognised, so that none is ever stored.

/// A shorter run of digits is no card number (ISO/IEC 7812 has 12 to 19).
const DIGITS_MIN: usize = 12;

/// Whether the text holds so many digits in a row, spaces and hyphens between them left aside, that
/// they may be a card's number.
pub(super) fn may_hold_number(text: &str) -> bool {
    let mut run = 0;
    for character in text.chars() {
        match character {
            '0'..='9' => run += 1,
            ' ' | '-' => {}
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
        for text in ["4242424242424242", "card 4242 4242 4242 4242!", "4242-4242-4242-4242"] {
            assert!(may_hold_number(text), "{text}");
        }
        for text in ["", "order 20260101-77", "12345678901", "4242x4242x4242x4242"] {
            assert!(!may_hold_number(text), "{text}");
        }
    }
}
