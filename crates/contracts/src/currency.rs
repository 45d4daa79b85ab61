//! Currencies: how many decimals ISO 4217 gives each. An amount in an event is a number of minor
//! units, so its publisher and whoever shows it have to agree on this.

/// Currencies without a minor unit.
const NO_DECIMALS: [&str; 17] = [
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND",
    "VUV", "XAF", "XOF", "XPF",
];
/// Currencies with a minor unit of a thousandth.
const THREE_DECIMALS: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

/// The decimals of a currency (ISO 4217, upper case), 0 to 3: 1999 minor units are EUR 19.99,
/// JPY 1999 and KWD 1.999. A code that is not known has two, as nearly all have.
pub fn decimals(code: &str) -> u8 {
    match code {
        _ if NO_DECIMALS.contains(&code) => 0,
        _ if THREE_DECIMALS.contains(&code) => 3,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_currencies_have_two_decimals_some_none_and_a_few_three() {
        for (code, expected) in
            [("EUR", 2), ("HUF", 2), ("IDR", 2), ("JPY", 0), ("ISK", 0), ("XPF", 0), ("KWD", 3)]
        {
            assert_eq!(decimals(code), expected, "{code}");
        }
        assert!(NO_DECIMALS.is_sorted() && THREE_DECIMALS.is_sorted());
    }
}
