//! Currencies: how many decimals ISO 4217 gives each. An amount in an event is a number of minor
//! units, so its publisher and whoever shows it have to agree on this.

/// The codes of ISO 4217 that money is in, without those of funds, metals and tests.
const KNOWN: [&str; 157] = [
    "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT",
    "BGN", "BHD", "BIF", "BMD", "BND", "BOB", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD",
    "CDF", "CHF", "CLP", "CNY", "COP", "CRC", "CUP", "CVE", "CZK", "DJF", "DKK", "DOP", "DZD",
    "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS", "GIP", "GMD", "GNF", "GTQ",
    "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "IQD", "IRR", "ISK", "JMD", "JOD",
    "JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD", "KYD", "KZT", "LAK", "LBP", "LKR",
    "LRD", "LSL", "LYD", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR",
    "MWK", "MXN", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "OMR", "PAB", "PEN",
    "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON", "RSD", "RUB", "RWF", "SAR", "SBD", "SCR",
    "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL", "THB",
    "TJS", "TMT", "TND", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "UGX", "USD", "UYI", "UYU",
    "UZS", "VES", "VND", "VUV", "WST", "XAF", "XCD", "XCG", "XOF", "XPF", "YER", "ZAR", "ZMW",
    "ZWG",
];
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

/// Whether a code is one of ISO 4217, in upper case, that money is in.
pub fn is_known(code: &str) -> bool {
    KNOWN.binary_search(&code).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_hold_all_whose_decimals_are_told() {
        assert!(KNOWN.is_sorted());
        assert!(NO_DECIMALS.iter().chain(&THREE_DECIMALS).all(|code| is_known(code)));
        assert!(!is_known("eur") && !is_known("XAU") && !is_known("XXX") && !is_known(""));
    }

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
