//! Recovery codes: what a user writes down to sign in without the authenticator app, each good once.
//!
//! A code has a hundred random bits, so that its hash can be a fast one: nobody finds it by trying, in the
//! table or over the network.

use data_encoding::BASE32_NOPAD;
use tusk_config::Secret;

use crate::opaque::{self, OpaqueHash};

/// Codes that a user has at a time.
pub const RECOVERY_CODES: usize = 10;
/// Letters and digits of a code, of five bits each.
const CHARS: usize = 20;
/// How many of them stand together.
const GROUP: usize = 5;
/// Random bytes that have so many letters and digits, and some to spare.
const BYTES: usize = 15;

/// A code as its holder has it: four groups of five letters and digits.
#[derive(Debug, Clone)]
pub struct RecoveryCode(Secret<String>);

impl RecoveryCode {
    /// A new random code.
    pub fn generate() -> Self {
        let random: [u8; BYTES] = rand::random();
        let text = BASE32_NOPAD.encode(&random)[..CHARS].to_lowercase();
        let groups: Vec<&str> = (0..CHARS).step_by(GROUP).map(|at| &text[at..at + GROUP]).collect();
        Self(groups.join("-").into())
    }

    /// The code to hand out.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What to store.
    pub fn hash(&self) -> OpaqueHash {
        opaque::hash(&self.expose().replace('-', ""))
    }
}

/// The hash under which what somebody typed is looked up, in upper or lower case, with or without what
/// stands between the groups; none when it cannot be a code.
pub fn hash_of_typed(text: &str) -> Option<OpaqueHash> {
    let letters = text.chars().filter(|letter| !"- ".contains(*letter));
    let code: Secret<String> =
        letters.map(|letter| letter.to_ascii_lowercase()).collect::<String>().into();
    let is_code = code.expose().len() == CHARS
        && code.expose().bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
    is_code.then(|| opaque::hash(code.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_however_it_is_typed_and_nothing_else_is_one() {
        let one = RecoveryCode::generate();
        let other = RecoveryCode::generate();
        assert_ne!(one.expose(), other.expose());
        assert_eq!(one.expose().len(), 23);
        let typed = one.expose();
        for spelling in [typed.to_owned(), typed.to_uppercase(), typed.replace('-', " ")] {
            assert_eq!(hash_of_typed(&spelling), Some(one.hash()), "{spelling}");
        }
        for none in ["", "123456", &typed[1..], &format!("{typed}a"), &typed.replace('-', "1")] {
            assert_eq!(hash_of_typed(none), None, "{none}");
        }
    }
}
