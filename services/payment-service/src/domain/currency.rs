//! The currencies that are taken, and all that is known of each: how many decimals it has, how the
//! payment provider writes its amounts, and which amounts the provider takes.
//!
//! Source of the provider's columns: <https://docs.stripe.com/currencies>, "Special cases",
//! "Three-decimal currencies" and "Minimum and maximum charge amounts". The least amount is that of
//! an account that is paid out in the same currency. Where it is paid out in another one, and for
//! currencies without a documented least amount, the provider may still refuse a small amount: then
//! the payment is declined.

use std::sync::{Mutex, PoisonError};

use super::DomainError;

/// A currency that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency(&'static Facts);

/// What is known of a currency. Amounts are minor units of ISO 4217, as in all of this service but
/// on the provider's wire.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    /// ISO 4217, upper case.
    code: &'static str,
    /// Decimals of the minor unit (ISO 4217).
    decimals: u8,
    /// Decimals with which the provider writes amounts; never fewer.
    wire_decimals: u8,
    /// What amounts have to be divisible by.
    step: i64,
    /// The least amount.
    least: i64,
    /// The most.
    most: i64,
}

/// The provider takes eight digits.
const EIGHT_DIGITS: i64 = 99_999_999;

/// All currencies that are taken, by code.
static TAKEN: [Facts; 38] = [
    two_decimals("AED", 200),
    two_decimals("AUD", 50),
    two_decimals("BGN", 100),
    three_decimals("BHD"),
    two_decimals("BRL", 50),
    two_decimals("CAD", 50),
    two_decimals("CHF", 50),
    no_decimals("CLP", 1),
    two_decimals("CNY", 1),
    two_decimals("CZK", 1_500),
    two_decimals("DKK", 250),
    two_decimals("EUR", 50),
    two_decimals("GBP", 30),
    two_decimals("HKD", 400),
    two_decimals("HUF", 17_500),
    // Twelve digits instead of eight.
    Facts { most: 999_999_999_999, ..two_decimals("IDR", 1) },
    two_decimals("ILS", 1),
    two_decimals("INR", 50),
    // Has had no decimals since 2023, but the provider goes on writing it with two, which have to
    // be 00: 500 ISK are 50000 on the wire, and its eight digits are six of ours.
    Facts { wire_decimals: 2, most: EIGHT_DIGITS / 100, ..no_decimals("ISK", 1) },
    three_decimals("JOD"),
    no_decimals("JPY", 50),
    no_decimals("KRW", 1),
    three_decimals("KWD"),
    two_decimals("MXN", 1_000),
    two_decimals("MYR", 200),
    two_decimals("NOK", 300),
    two_decimals("NZD", 50),
    three_decimals("OMR"),
    two_decimals("PHP", 1),
    two_decimals("PLN", 200),
    two_decimals("RON", 200),
    two_decimals("SAR", 1),
    two_decimals("SEK", 300),
    two_decimals("SGD", 50),
    two_decimals("THB", 1_000),
    three_decimals("TND"),
    two_decimals("USD", 50),
    two_decimals("ZAR", 1),
];

const fn two_decimals(code: &'static str, least: i64) -> Facts {
    Facts { code, decimals: 2, wire_decimals: 2, step: 1, least, most: EIGHT_DIGITS }
}

const fn no_decimals(code: &'static str, least: i64) -> Facts {
    Facts { decimals: 0, wire_decimals: 0, ..two_decimals(code, least) }
}

/// Card networks know two decimals only: the provider wants the third to be 0.
const fn three_decimals(code: &'static str) -> Facts {
    let most = EIGHT_DIGITS - EIGHT_DIGITS % 10;
    Facts { decimals: 3, wire_decimals: 3, step: 10, most, ..two_decimals(code, 10) }
}

impl Currency {
    /// The currency of this code, in upper case.
    ///
    /// # Errors
    /// It is not taken.
    pub fn parse(code: &str) -> Result<Self, DomainError> {
        Self::all().find(|known| known.as_str() == code).ok_or(DomainError::Invalid {
            pointer: "/currency",
            reason: "is not an ISO 4217 code, in upper case, of a currency that is taken",
        })
    }

    /// The currency of a payment that was made. One that this version does not take is a newer version's: it
    /// is shown, and never charged. The first of each stays in memory, which the table bounds: codes are
    /// three letters.
    pub fn from_stored(code: &str) -> Self {
        static OTHERS: Mutex<Vec<&'static Facts>> = Mutex::new(Vec::new());
        Self::parse(code).unwrap_or_else(|_| {
            let mut others = OTHERS.lock().unwrap_or_else(PoisonError::into_inner);
            let known = others.iter().find(|other| other.code == code).copied();
            Self(known.unwrap_or_else(|| {
                let facts = two_decimals(Box::leak(code.into()), 1);
                let other: &'static Facts = Box::leak(Box::new(facts));
                others.push(other);
                other
            }))
        })
    }

    /// All currencies that are taken, by code.
    pub fn all() -> impl Iterator<Item = Self> {
        TAKEN.iter().map(Self)
    }

    /// The code.
    pub fn as_str(self) -> &'static str {
        self.0.code
    }

    /// The least amount that is taken, in minor units.
    pub fn least(self) -> i64 {
        self.0.least
    }

    /// The most that is taken at once, in minor units.
    pub fn most(self) -> i64 {
        self.0.most
    }

    /// What amounts have to be divisible by, in minor units.
    pub fn step(self) -> i64 {
        self.0.step
    }

    /// How many of the provider's units one minor unit is: 1, or 100 for ISK.
    pub fn wire_units(self) -> i64 {
        10_i64.pow((self.0.wire_decimals - self.0.decimals).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_codes_in_upper_case_are_currencies() {
        for code in ["eur", "EURO", "", "XXX", "€"] {
            assert!(Currency::parse(code).is_err(), "{code}");
        }
        let codes: Vec<_> = Currency::all().map(Currency::as_str).collect();
        assert!(codes.is_sorted());
        for code in codes {
            assert_eq!(Currency::parse(code).unwrap().as_str(), code);
        }
    }

    #[test]
    fn a_currency_of_a_newer_version_is_shown_by_its_code_and_is_not_taken() {
        let [one, other] = ["XTS", "XTS"].map(Currency::from_stored);
        assert!(one == other && std::ptr::eq(one.0, other.0) && one.as_str() == "XTS");
        assert!(Currency::parse("XTS").is_err() && Currency::all().all(|taken| taken != one));
        assert_eq!(Currency::from_stored("EUR"), Currency::parse("EUR").unwrap());
    }

    #[test]
    fn what_is_known_of_a_currency_agrees_with_iso_4217_and_with_itself() {
        for Facts { code, decimals, wire_decimals, step, least, most } in &TAKEN {
            assert_eq!(*decimals, contracts::currency::decimals(code), "{code}");
            assert!(wire_decimals >= decimals, "{code}");
            assert!(0 < *least && least < most, "{code}");
            assert_eq!((least % step, most % step), (0, 0), "{code}");
        }
    }
}
