//! Amounts as the provider writes them, both ways.

use crate::domain::{Currency, Money};

/// The amount on the provider's wire.
pub(super) fn to_wire(money: Money) -> i64 {
    money.minor() * money.currency().wire_units()
}

/// The money that an amount and a currency (in lower case) on the provider's wire are; `None` when
/// they are none that we could have asked for.
pub(super) fn from_wire(amount: i64, currency: &str) -> Option<Money> {
    let currency = Currency::parse(&currency.to_ascii_uppercase()).ok()?;
    let is_whole = amount % currency.wire_units() == 0;
    is_whole.then(|| Money::from_stored(amount / currency.wire_units(), currency))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_amount_comes_back_from_the_wire_as_it_went() {
        for currency in Currency::all() {
            for minor in [currency.least(), currency.most()] {
                let money = Money::new(minor, currency).unwrap();
                let code = currency.as_str().to_ascii_lowercase();
                assert_eq!(from_wire(to_wire(money), &code), Some(money), "{code}");
            }
        }
    }

    #[test]
    fn a_krona_is_a_hundred_on_the_wire_and_a_part_of_one_is_no_money() {
        let krona = |minor| Money::new(minor, Currency::parse("ISK").unwrap()).unwrap();
        assert_eq!(to_wire(krona(500)), 50_000);
        assert_eq!(from_wire(50_000, "isk"), Some(krona(500)));
        assert_eq!(from_wire(550, "isk"), None);
        assert_eq!(from_wire(500, "xxx"), None);
    }
}
