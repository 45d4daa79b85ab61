//! Money: whole minor units of a currency. No floating point anywhere.

use std::fmt;

use super::DomainError;

/// The largest amount of one payment, in minor units: what the provider takes.
const AMOUNT_MAX: i64 = 99_999_999;

/// The currencies that are taken (ISO 4217). What their minor unit is worth is for whoever shows
/// an amount; here an amount is a number of them.
const CURRENCIES: [&str; 38] = [
    "AED", "AUD", "BGN", "BHD", "BRL", "CAD", "CHF", "CLP", "CNY", "CZK", "DKK", "EUR", "GBP",
    "HKD", "HUF", "IDR", "ILS", "INR", "ISK", "JOD", "JPY", "KRW", "KWD", "MXN", "MYR", "NOK",
    "NZD", "OMR", "PHP", "PLN", "RON", "SAR", "SEK", "SGD", "THB", "TND", "USD", "ZAR",
];

/// A currency that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency(&'static str);

impl Currency {
    /// The currency of this code, in upper case.
    ///
    /// # Errors
    /// It is not taken.
    pub fn parse(code: &str) -> Result<Self, DomainError> {
        let known = CURRENCIES.iter().find(|known| **known == code);
        known.map(|known| Self(known)).ok_or(DomainError::Invalid {
            pointer: "/currency",
            reason: "is not an ISO 4217 code, in upper case, of a currency that is taken",
        })
    }

    /// The code.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

/// An amount that can be paid: 1 to 99 999 999 minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// An amount of a currency.
    ///
    /// # Errors
    /// It is out of bounds.
    pub fn new(minor: i64, currency: Currency) -> Result<Self, DomainError> {
        if (1..=AMOUNT_MAX).contains(&minor) {
            return Ok(Self { minor, currency });
        }
        Err(DomainError::Invalid {
            pointer: "/amount",
            reason: "must be 1 to 99999999 minor units",
        })
    }

    /// Minor units.
    pub fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    pub fn currency(self) -> Currency {
        self.currency
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} minor units of {}", self.minor, self.currency.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_outside_the_bounds_are_refused() {
        let euro = Currency::parse("EUR").unwrap();
        for minor in [i64::MIN, -1, 0, AMOUNT_MAX + 1, i64::MAX] {
            assert!(Money::new(minor, euro).is_err(), "{minor}");
        }
        assert_eq!(Money::new(AMOUNT_MAX, euro).unwrap().minor(), AMOUNT_MAX);
    }

    #[test]
    fn only_known_codes_in_upper_case_are_currencies() {
        for code in ["eur", "EURO", "", "XXX", "€"] {
            assert!(Currency::parse(code).is_err(), "{code}");
        }
        assert!(CURRENCIES.is_sorted());
    }
}
