//! Small pieces of text: escaping for HTML, amounts of money, times.

use chrono::TimeDelta;

/// Minor units as people write them: 1999 EUR is `19.99 EUR`. No floating point.
pub(super) fn amount(minor: i64, currency: &str) -> String {
    let decimals = usize::from(contracts::currency::decimals(currency));
    let sign = if minor < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", minor.unsigned_abs(), width = decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    let point = if decimals == 0 { "" } else { "." };
    format!("{sign}{whole}{point}{part} {currency}")
}

/// How long something takes, in the largest unit that it is a whole number of: `30 minutes`. Two days
/// are 48 hours to nobody, one day is 24.
pub(super) fn duration(time: TimeDelta) -> String {
    let minutes = time.num_minutes().max(1);
    let (count, unit) = match minutes {
        days if days % (24 * 60) == 0 && days > 24 * 60 => (days / (24 * 60), "day"),
        hours if hours % 60 == 0 => (hours / 60, "hour"),
        minutes => (minutes, "minute"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// Text inside HTML, and inside its attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        for (minor, currency, text) in [
            (1999, "EUR", "19.99 EUR"),
            (5, "EUR", "0.05 EUR"),
            (-1999, "EUR", "-19.99 EUR"),
            (1999, "JPY", "1999 JPY"),
            (500, "ISK", "500 ISK"),
            (500, "XPF", "500 XPF"),
            (1999, "KWD", "1.999 KWD"),
            (i64::MIN, "USD", "-92233720368547758.08 USD"),
        ] {
            assert_eq!(amount(minor, currency), text);
        }
    }

    #[test]
    fn times_are_in_the_largest_whole_unit() {
        for (minutes, text) in [
            (0, "1 minute"),
            (30, "30 minutes"),
            (60, "1 hour"),
            (90, "90 minutes"),
            (24 * 60, "24 hours"),
            (48 * 60, "2 days"),
        ] {
            assert_eq!(duration(TimeDelta::minutes(minutes)), text);
        }
    }

    #[test]
    fn markup_in_text_stays_text() {
        assert_eq!(escape("<b onclick='x'>\"&"), "&lt;b onclick=&#39;x&#39;&gt;&quot;&amp;");
    }
}
