//! Takes out of a text what nobody else is to see: secrets that are known, and what looks like one.

use std::{collections::BTreeMap, sync::LazyLock};

use regex_lite::Regex;

/// What stands in the place of what was taken out.
pub(super) const MASK: &str = "***";
/// Shorter ones would be found in words.
const SECRET_MIN: usize = 4;

/// The words of a name whose value is a secret.
const NAMES: &str = "passw|passphrase|pwd|secret|token|api_?-?key|credential|authorization|cookie|\
                     private_?-?key|headers";

/// One of these is in each of them.
const NAME_HINTS: [&str; 9] =
    ["pass", "pwd", "secret", "token", "key", "credential", "authorization", "cookie", "headers"];

/// A kind of secret, by its form.
struct Form {
    /// What it is, in a list.
    kind: &'static str,
    /// Texts of which one is in every line that has it; where there is none, those of names.
    hints: &'static [&'static str],
    pattern: Regex,
    replacement: &'static str,
}

static FORMS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let form = |kind, hints, pattern: &str, replacement| {
        let pattern = Regex::new(pattern).expect("the patterns below are ones");
        Form { kind, hints, pattern, replacement }
    };
    // A text in JSON that is a text, a text in JSON, a text, a list or an object with what follows, a word.
    let value = format!(
        r#"(?i)(["']?[\w.-]*(?:{NAMES})[\w.-]*\\?["']?\s*[:=]\s*)(\\"(?:[^"\\]|\\[^"]|\\\\\\")*\\"|"(?:[^"\\]|\\.)*"|'[^']*'|[\[{{].*|[^\s,;&"'}}\]]+)"#
    );
    let argument = format!(r"(?i)(--[\w-]*(?:{NAMES})[\w-]*\s+)\S+");
    vec![
        form(
            "private keys",
            &["PRIVATE KEY"],
            r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)",
            MASK,
        ),
        form("logins in addresses", &["://"], r#"://[^\s/@"'<>]+(?:[^\s"'<>/]*)@"#, "://***@"),
        form("tokens", &["eyJ"], r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)*", MASK),
        form(
            "credentials",
            &["earer", "EARER", "asic", "ASIC"],
            r"(?i)\b(bearer|basic)(\s+|%20)[A-Za-z0-9._~+/=-]+",
            "$1 ***",
        ),
        form(
            "keys of providers",
            &["sk_", "whsec_", "rk_", "AKIA", "gh", "xox"],
            r"\b(sk|rk)_(test|live)_\w+|\bwhsec_\w+|\bAKIA[0-9A-Z]{16}\b|\bgh[opsur]_\w{20,}|\bxox[abp]-[\w-]+",
            MASK,
        ),
        form(
            "headers",
            &["ookie", "OOKIE", "uthorization", "UTHORIZATION"],
            r#"(?i)\b((?:set-)?cookie|(?:proxy-)?authorization)(\s*[:=]\s*)[^\s"'](?:="[^"\n]*"|\\.|[^"'\\\n])*"#,
            "$1$2***",
        ),
        form(
            "passwords of several words",
            &["assw", "ASSW", "assphrase"],
            r#"(?i)\b(passwords?|passphrase)(:\s+)[^\s"'{}][^"'{}\n]*"#,
            "$1$2***",
        ),
        form("values of secret names", &[], &value, "$1***"),
        form("arguments of secret names", &["--"], &argument, "$1***"),
        form(
            "e-mail addresses",
            &["@", "%40"],
            r"[A-Za-z0-9._%+'-]+(@|%40)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+",
            "***@***",
        ),
    ]
});

/// What is in the name of a secret.
static NAMED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!("(?i){NAMES}")).expect("a list of words is a pattern"));

/// Takes secrets out of texts, and counts them.
#[derive(Debug, Default)]
pub(super) struct Mask {
    /// The known ones in all their spellings, the longest first.
    secrets: Vec<String>,
    /// How many were taken out, by their kind.
    pub(super) counts: BTreeMap<&'static str, usize>,
}

impl Mask {
    /// These are secrets, in whatever form they stand.
    pub(super) fn of(secrets: impl IntoIterator<Item = String>) -> Self {
        let long = secrets.into_iter().filter(|secret| secret.trim().len() >= SECRET_MIN);
        let mut all: Vec<String> = long.flat_map(|secret| spellings(secret.trim())).collect();
        all.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        all.dedup();
        Self { secrets: all, counts: BTreeMap::new() }
    }

    /// The text without them.
    pub(super) fn text(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            let count = text.matches(secret.as_str()).count();
            if count > 0 {
                *self.counts.entry("known secrets").or_default() += count;
                text = text.replace(secret.as_str(), MASK);
            }
        }
        if FORMS[0].hints.iter().any(|hint| text.contains(hint)) {
            text = self.form(&FORMS[0], &text);
        }
        let mut masked = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            masked.push_str(&self.line(line));
        }
        masked
    }

    /// In the place of the value of a secret name.
    pub(super) fn named(&mut self) -> serde_json::Value {
        *self.counts.entry("values of secret names").or_default() += 1;
        MASK.into()
    }

    fn line(&mut self, line: &str) -> String {
        let mut line = line.to_owned();
        for form in &FORMS[1..] {
            let may_have_it = if form.hints.is_empty() {
                let lower = line.to_ascii_lowercase();
                NAME_HINTS.iter().any(|hint| lower.contains(hint))
            } else {
                form.hints.iter().any(|hint| line.contains(hint))
            };
            if may_have_it {
                line = self.form(form, &line);
            }
        }
        line
    }

    fn form(&mut self, form: &Form, text: &str) -> String {
        let count = form.pattern.find_iter(text).filter(|found| found.as_str() != MASK).count();
        if count == 0 {
            return text.to_owned();
        }
        *self.counts.entry(form.kind).or_default() += count;
        form.pattern.replace_all(text, form.replacement).into_owned()
    }
}

/// As it is, in a URL, in JSON, and in JSON that is a text in JSON.
fn spellings(secret: &str) -> Vec<String> {
    let json = |text: &str| {
        let quoted = serde_json::Value::from(text).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let once = json(secret);
    vec![secret.to_owned(), crate::admin::escaped(secret), json(&once), once]
}

/// Whether the name of a setting says that its value is a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    NAMED.is_match(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_taken_out_and_what_is_around_it_stays() {
        let jwt = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";
        for (line, expected) in [
            ("at postgres://me:hunter2@db:5432/a now", "at postgres://***@db:5432/a now"),
            ("at redis://:hunt@er2@db/0", "at redis://***@db/0"),
            ("authorization: Bearer hunter2.x", "authorization: ***"),
            (r#"Authorization: Digest user="hunter2", response="hunter2""#, "Authorization: ***"),
            ("cookie: a=hunter2; sid=hunter2", "cookie: ***"),
            ("password: hunter 2", "password: ***"),
            ("dev --password hunter2 run", "dev --password *** run"),
            ("key AKIAABCDEFGHIJKLMNOP used", "key *** used"),
            (r#"{"password":"ab\"hunter2rest","x":1}"#, r#"{"password":***,"x":1}"#),
            (r#"{"tokens":["hunter2","hunter2"]}"#, r#"{"tokens":***"#),
            (r#"{"secret":{"a":{"b":1},"c":"hunter2"}}"#, r#"{"secret":***"#),
            ("sent Bearer hunter2.x to it", "sent Bearer *** to it"),
            ("sent Basic aHVudGVyMg== to it", "sent Basic *** to it"),
            (&format!("got {jwt} here"), "got *** here"),
            ("key sk_live_hunter2 used", "key *** used"),
            ("user ada.l+x@mail.example.com signed in", "user ***@*** signed in"),
            ("?mail=ada%40example.com&x=1", "?mail=***@***&x=1"),
            ("password=hunter2 next=1", "password=*** next=1"),
            (r#"{"db.password":"hunter2","x":1}"#, r#"{"db.password":***,"x":1}"#),
            (
                r#"{"body":"{\"client_secret\":\"hunter2\"}"}"#,
                r#"{"body":"{\"client_secret\":***}"}"#,
            ),
            ("refresh_token: 'hunter 2' x", "refresh_token: *** x"),
            ("the tokens were refreshed", "the tokens were refreshed"),
            ("node testkit@localhost is up", "node testkit@localhost is up"),
            (
                "trace_id=13a2124116acc68c586b5bc363e699b0",
                "trace_id=13a2124116acc68c586b5bc363e699b0",
            ),
        ] {
            assert_eq!(Mask::default().text(line), expected, "{line}");
        }
    }

    #[test]
    fn a_known_secret_is_found_in_every_spelling() {
        let secret = "hunt/er\"2\\ü";
        let json = serde_json::json!({ "x": secret });
        let twice = serde_json::json!({ "x": json.to_string() });
        let text = format!("{secret} {json} {twice} ?q={}", crate::admin::escaped(secret));
        let mut mask = Mask::of([secret.to_owned(), "abc".to_owned()]);
        let masked = mask.text(&text);
        assert!(!masked.contains("hunt"), "{masked}");
        assert_eq!(mask.counts["known secrets"], 4);
        assert_eq!(mask.text("abc"), "abc", "it would be found in words");
    }

    #[test]
    fn a_private_key_is_taken_out_with_all_its_lines() {
        let key = "a\n-----BEGIN PRIVATE KEY-----\nMC4CAQ\nhunter2\n-----END PRIVATE KEY-----\nb\n";
        assert_eq!(Mask::default().text(key), "a\n***\nb\n");
        let half = "a\n-----BEGIN PRIVATE KEY-----\nMC4CAQ\nhunter2";
        assert_eq!(Mask::default().text(half), "a\n***");
    }
}
