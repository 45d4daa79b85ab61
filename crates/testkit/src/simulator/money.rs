//! Amounts and currencies, with Stripe's bounds: <https://docs.stripe.com/currencies>.

use super::error::ApiError;
use super::form::Form;

/// What Stripe takes, in its order.
const CURRENCIES: &str = "\
    usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd \
    bwp byn bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp \
    gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw \
    kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad \
    ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek \
    sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst \
    xaf xcd xof xpf yer zar zmw";

/// The least amounts, in minor units; for other currencies 1.
#[rustfmt::skip]
const LEAST: [(&str, i64); 24] = [
    ("usd", 50), ("aed", 200), ("aud", 50), ("bgn", 100), ("brl", 50), ("cad", 50),
    ("chf", 50), ("czk", 1500), ("dkk", 250), ("eur", 50), ("gbp", 30), ("hkd", 400),
    ("huf", 17500), ("inr", 50), ("jpy", 50), ("mxn", 1000), ("myr", 200), ("nok", 300),
    ("nzd", 50), ("pln", 200), ("ron", 200), ("sek", 300), ("sgd", 50), ("thb", 1000),
];

/// Eight digits, in minor units; twelve in rupiah.
const MOST: i64 = 99_999_999;
const MOST_IDR: i64 = 999_999_999_999;

/// Currencies whose amounts are written without decimals. ISK and UGX have none either, but are
/// written with two.
const WRITTEN_WITHOUT_DECIMALS: &str =
    "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf";
const WRITTEN_WITH_THREE: &str = "bhd jod kwd omr tnd";

/// What one step of an amount on the wire is worth, in thousandths of the currency's main unit.
pub(super) fn thousandths_in_a_unit(currency: &str) -> i64 {
    let written = |list: &str| list.split(' ').any(|known| known == currency);
    match currency {
        _ if written(WRITTEN_WITHOUT_DECIMALS) => 1_000,
        _ if written(WRITTEN_WITH_THREE) => 1,
        _ => 10,
    }
}

/// `amount` and `currency` of a call, the currency in lower case.
pub(super) fn read(form: &Form) -> Result<(i64, String), ApiError> {
    let amount = form.required("amount")?;
    let currency = form.required("currency")?.to_ascii_lowercase();
    if !CURRENCIES.split_whitespace().any(|known| known == currency) {
        let list = CURRENCIES.split_whitespace().collect::<Vec<_>>().join(", ");
        let message = format!("Invalid currency: {currency}. Supported currencies: {list}");
        return Err(ApiError::invalid(message).param("currency"));
    }
    let amount: i64 = amount
        .parse()
        .map_err(|_| integer(format!("Invalid integer: {}", amount.escape_default())))?;
    check(amount, &currency)?;
    Ok((amount, currency))
}

fn check(amount: i64, currency: &str) -> Result<(), ApiError> {
    if amount < 1 {
        return Err(integer("This value must be greater than or equal to 1."));
    }
    let least = LEAST.iter().find(|(known, _)| *known == currency).map_or(1, |(_, least)| *least);
    if amount < least {
        let message = format!("Amount must be at least {least} {currency}");
        return Err(ApiError::invalid(message).code("amount_too_small").param("amount"));
    }
    let most = if currency == "idr" { MOST_IDR } else { MOST };
    if amount > most {
        let message = format!("Amount must be no more than {most} {currency}");
        return Err(ApiError::invalid(message).code("amount_too_large").param("amount"));
    }
    // Currencies of three decimals are charged in steps of ten, and some of none are written with
    // two.
    let step = match currency {
        "bhd" | "jod" | "kwd" | "omr" | "tnd" => 10,
        "isk" | "ugx" => 100,
        _ => 1,
    };
    if amount % step != 0 {
        return Err(integer(format!("Amounts in {currency} must be divisible by {step}")));
    }
    Ok(())
}

fn integer(message: impl Into<String>) -> ApiError {
    ApiError::invalid(message).code("parameter_invalid_integer").param("amount")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Form, read, thousandths_in_a_unit};

    fn code(form: &str) -> String {
        let body = read(&Form::parse(form.as_bytes())).unwrap_err().body();
        body["error"]["code"].as_str().unwrap_or("none").to_owned()
    }

    #[test]
    fn a_currency_is_taken_in_either_case() {
        let money = read(&Form::parse(b"amount=1999&currency=EUR")).unwrap();
        assert_eq!(money, (1999, "eur".to_owned()));
    }

    #[test]
    fn each_fault_has_stripes_code() {
        assert_eq!(code("currency=eur"), "parameter_missing");
        assert_eq!(code("amount=&currency=eur"), "parameter_invalid_empty");
        assert_eq!(code("amount=19.99&currency=eur"), "parameter_invalid_integer");
        assert_eq!(code("amount=0&currency=eur"), "parameter_invalid_integer");
        assert_eq!(code("amount=49&currency=eur"), "amount_too_small");
        assert_eq!(code("amount=100000000&currency=eur"), "amount_too_large");
        assert_eq!(code("amount=1001&currency=kwd"), "parameter_invalid_integer");
        assert_eq!(code("amount=100&currency=xyz"), "none");
        assert_eq!(code("amount=550&currency=isk"), "parameter_invalid_integer");
        assert_eq!(code("amount=1000000000000&currency=idr"), "amount_too_large");
    }

    #[test]
    fn krona_and_shilling_are_written_with_two_decimals_although_they_have_none() {
        assert!(read(&Form::parse(b"amount=50000&currency=isk")).is_ok());
        for (currency, thousandths) in
            [("isk", 10), ("ugx", 10), ("jpy", 1_000), ("kwd", 1), ("eur", 10)]
        {
            assert_eq!(thousandths_in_a_unit(currency), thousandths, "{currency}");
        }
    }
}
