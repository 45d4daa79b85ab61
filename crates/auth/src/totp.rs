//! Codes of authenticator apps: time-based one-time passwords (RFC 6238) as every such app makes them,
//! HMAC-SHA-1 with six digits and steps of thirty seconds.
//!
//! SHA-1 is what the apps know, and as HMAC it is sound. It comes from aws-lc, which TLS brings along, so
//! that no crate is added for some twenty lines.

use std::fmt;

use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};
use data_encoding::BASE32_NOPAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use subtle::ConstantTimeEq;
use tusk_config::Secret;

/// Bytes of a secret: as many as the hash has (RFC 4226 §4 asks for no fewer).
const SECRET_BYTES: usize = 20;
/// Digits of a code.
const DIGITS: usize = 6;
/// One more than the largest code.
const CODES: u32 = 1_000_000;
/// Seconds for which a code is shown.
const STEP_SECONDS: i64 = 30;
/// Steps before and after the present one whose codes count too: clocks differ, and typing takes a while.
const STEPS_AROUND: i64 = 1;
/// What stays as it is in such a URI (RFC 3986 §2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a user's app makes codes of.
#[derive(Clone)]
pub struct TotpSecret(Secret<[u8; SECRET_BYTES]>);

/// The number of the step that a time is in, counted from 1970.
pub fn step_at(time: DateTime<Utc>) -> i64 {
    time.timestamp().div_euclid(STEP_SECONDS)
}

impl TotpSecret {
    /// A new random secret.
    pub fn generate() -> Self {
        Self(rand::random::<[u8; SECRET_BYTES]>().into())
    }

    /// The secret of these bytes; none unless they are twenty.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        Some(Self(<[u8; SECRET_BYTES]>::try_from(bytes).ok()?.into()))
    }

    /// The secret that was typed into an app; none when it is no such secret.
    pub fn typed(base32: &str) -> Option<Self> {
        let bytes: Secret<Vec<u8>> = BASE32_NOPAD.decode(base32.as_bytes()).ok()?.into();
        Self::of(bytes.expose())
    }

    /// The bytes, to be kept [sealed](crate::SealingKeys).
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// The secret as people type it into an app.
    pub fn base32(&self) -> Secret<String> {
        BASE32_NOPAD.encode(self.expose()).into()
    }

    /// The secret as an app reads it from a QR code: an `otpauth` URI that says whose account it is,
    /// and where.
    pub fn uri(&self, issuer: &str, account: &str) -> Secret<String> {
        let [issuer, account] = [issuer, account].map(|text| utf8_percent_encode(text, ENCODED));
        let secret = self.base32();
        let secret = secret.expose();
        let digits = DIGITS;
        format!(
            "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1\
             &digits={digits}&period={STEP_SECONDS}"
        )
        .into()
    }

    /// The code of a step.
    pub fn code(&self, step: i64) -> Secret<String> {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.expose());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let bytes = tag.as_ref();
        // RFC 4226 §5.3: the last four bits say where to read 31 bits.
        let place = usize::from(bytes[bytes.len() - 1] & 0xf);
        let number =
            bytes[place..place + 4].iter().fold(0, |all, byte| all << 8 | u32::from(*byte));
        format!("{:0DIGITS$}", (number & 0x7fff_ffff) % CODES).into()
    }

    /// The step that a code is of, if that is one around `now` and later than `last`, the newest whose
    /// code was accepted: a code that somebody has seen is good for nothing once it was used.
    pub fn step_of(&self, code: &str, now: i64, last: i64) -> Option<i64> {
        // All are compared, so that the time tells nothing of which it is.
        let steps = now - STEPS_AROUND..=now + STEPS_AROUND;
        steps.fold(None, |found, step| {
            let is_right = bool::from(self.code(step).expose().as_bytes().ct_eq(code.as_bytes()));
            found.or((is_right && step > last).then_some(step))
        })
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of the vectors in RFC 4226 and RFC 6238.
    fn secret() -> TotpSecret {
        TotpSecret::of(b"12345678901234567890").unwrap()
    }

    #[test]
    fn codes_are_those_of_the_vectors_in_rfc_4226_and_rfc_6238() {
        let hotp = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583",
            "399871", "520489",
        ];
        for (step, code) in (0..).zip(hotp) {
            assert_eq!(secret().code(step).expose(), code, "{step}");
        }
        // RFC 6238 appendix B, the last six of its eight digits.
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let time = DateTime::from_timestamp(second, 0).unwrap();
            assert_eq!(secret().code(step_at(time)).expose(), code, "{second}");
        }
    }

    #[test]
    fn a_code_counts_a_step_before_and_after_and_none_twice_or_after_a_later_one() {
        let code = |step: i64| secret().code(step).expose().clone();
        for (step, last, found) in [
            (98, 0, None),
            (99, 0, Some(99)),
            (100, 0, Some(100)),
            (101, 0, Some(101)),
            (102, 0, None),
            (100, 99, Some(100)),
            (100, 100, None),
            (99, 100, None),
        ] {
            assert_eq!(secret().step_of(&code(step), 100, last), found, "{step} after {last}");
        }
        for none in ["", "1", "0000000", "six678"] {
            assert_eq!(secret().step_of(none, 100, 0), None, "{none}");
        }
    }

    #[test]
    fn the_uri_of_an_app_has_secret_account_and_issuer_and_debug_hides_the_secret() {
        let shown = secret().uri("Tusk & Söhne", "ada+shop@example.com");
        assert_eq!(
            shown.expose(),
            "otpauth://totp/Tusk%20%26%20S%C3%B6hne:ada%2Bshop%40example.com\
             ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Tusk%20%26%20S%C3%B6hne\
             &algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(format!("{:?}", secret()), "TotpSecret");
        assert_ne!(TotpSecret::generate().expose(), TotpSecret::generate().expose());
        assert!(TotpSecret::of(b"short").is_none());
        let typed = TotpSecret::typed(secret().base32().expose()).unwrap();
        assert_eq!(typed.expose(), secret().expose());
        assert!(TotpSecret::typed("no secret").is_none());
    }
}
