//! What of a table is shown: by the words of a column's name, and by its type.

/// How careful one is with what stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sensitivity {
    /// Shown.
    Open,
    /// Says something of a person, or may: shown when it is asked for.
    Personal,
    /// Opens something: never read out of the database.
    Secret,
}

/// Words of names; `password_hash` is two words.
const SECRET: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secrets",
    "token",
    "tokens",
    "hash",
    "salt",
    "pin",
    "credential",
    "credentials",
];
const PERSONAL: [&str; 33] = [
    "email",
    "mail",
    "name",
    "names",
    "username",
    "firstname",
    "lastname",
    "surname",
    "address",
    "addresses",
    "phone",
    "mobile",
    "recipient",
    "sender",
    "subject",
    "body",
    "payload",
    "envelope",
    "text",
    "html",
    "content",
    "message",
    "description",
    "comment",
    "note",
    "notes",
    "birthday",
    "born",
    "street",
    "city",
    "iban",
    "ip",
    "state",
];

impl Sensitivity {
    /// Of a column of this name and type.
    pub(crate) fn of(column: &str, kind: &str) -> Self {
        let name = column.to_lowercase();
        let is_among = |words: &[&str]| {
            words.contains(&name.as_str()) || name.split('_').any(|word| words.contains(&word))
        };
        if is_among(&SECRET) || name == "fingerprint" || name.ends_with("_key_pem") {
            return Self::Secret;
        }
        // Ids and counts name nobody by themselves.
        if matches!(kind, "uuid" | "boolean") || name.ends_with("_version") {
            return Self::Open;
        }
        let may_hold_anything = matches!(kind, "json" | "jsonb" | "bytea" | "xml" | "inet");
        if is_among(&PERSONAL) || may_hold_anything { Self::Personal } else { Self::Open }
    }
}

/// Whether a text looks as if an address of a person stood in it, wherever it is found.
pub(crate) fn looks_personal(text: &str) -> bool {
    text.split(|character: char| character.is_whitespace() || "<>\"'(),;:".contains(character)).any(
        |word| {
            word.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty() && domain.contains('.') && !domain.starts_with('.')
            })
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_known_by_the_words_of_its_name_and_by_its_type() {
        for (column, kind, expected) in [
            ("password_hash", "text", Sensitivity::Secret),
            ("refresh_hash", "bytea", Sensitivity::Secret),
            ("fingerprint", "bytea", Sensitivity::Secret),
            ("email", "text", Sensitivity::Personal),
            ("html_body", "text", Sensitivity::Personal),
            ("envelope", "bytea", Sensitivity::Personal),
            ("anything", "jsonb", Sensitivity::Personal),
            ("born", "date", Sensitivity::Personal),
            ("phone", "bigint", Sensitivity::Personal),
            ("created_at", "timestamp with time zone", Sensitivity::Open),
            ("email_deliverable", "boolean", Sensitivity::Open),
            ("email_version", "bigint", Sensitivity::Open),
            ("status", "text", Sensitivity::Open),
            ("id", "uuid", Sensitivity::Open),
            ("shipping", "text", Sensitivity::Open),
        ] {
            assert_eq!(Sensitivity::of(column, kind), expected, "{column} {kind}");
        }
    }

    #[test]
    fn an_address_is_seen_in_a_sentence_and_a_bare_sign_is_none() {
        assert!(looks_personal("it failed for <ada@example.com>"));
        assert!(looks_personal("login:ada@example.com:1"));
        assert!(!looks_personal("user@host"));
        assert!(!looks_personal("3 @ 4.5"));
    }
}
