//! Money: whole minor units of a currency. No floating point anywhere.

use std::fmt;

use super::{Currency, DomainError};

/// An amount that can be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// An amount of a currency, in minor units.
    ///
    /// # Errors
    /// [`DomainError::Amount`]: the payment provider would not take it.
    pub fn new(minor: i64, currency: Currency) -> Result<Self, DomainError> {
        let least = currency.least();
        let most = currency.most();
        let step = currency.step();
        if (least..=most).contains(&minor) && minor % step == 0 {
            return Ok(Self { minor, currency });
        }
        Err(DomainError::Amount { currency: currency.as_str(), least, most, step })
    }

    /// An amount that was taken once. Bounds are for what is asked for: they change, and a payment
    /// that was made under others stays readable.
    pub fn from_stored(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
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
        write!(f, "{} minor units of {}", self.minor, self.currency.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_that_the_provider_would_not_take_are_refused_in_every_currency() {
        for currency in Currency::all() {
            let least = currency.least();
            let most = currency.most();
            let step = currency.step();
            for minor in [i64::MIN, -least, 0, least - step, most + step, i64::MAX] {
                let refused = Money::new(minor, currency);
                assert!(refused.is_err(), "{minor} {}", currency.as_str());
            }
            for minor in [least, most] {
                assert_eq!(Money::new(minor, currency).unwrap().minor(), minor);
            }
        }
        let dinar = Currency::parse("KWD").unwrap();
        assert!(Money::new(1999, dinar).is_err() && Money::new(2000, dinar).is_ok());
    }
}
