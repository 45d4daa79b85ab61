//! Takes secrets out of what is shown of settings, also of those that no file calls a secret.

use std::collections::BTreeMap;

/// What stands in the place of a secret.
const SECRET: &str = "[secret]";
/// Shorter ones are words such as `guest`, which stand elsewhere for themselves.
const SECRET_LENGTH_MIN: usize = 6;
/// How names of keys and variables end whose values are secret.
const ENDINGS: [&str; 5] = ["password", "secret", "token", "_key", "passphrase"];

/// The secrets of a process.
pub(super) struct Mask(Vec<String>);

impl Mask {
    /// Those that its variables hold: of secrets by their names, and of addresses.
    pub(super) fn of(variables: &BTreeMap<String, String>) -> Self {
        let secrets = variables.iter().flat_map(|(name, value)| {
            let whole = is_secret(name).then_some(value.as_str());
            whole.into_iter().chain(password(value))
        });
        let mut secrets: Vec<String> =
            secrets.filter(|secret| secret.len() >= SECRET_LENGTH_MIN).map(str::to_owned).collect();
        // One that holds another goes first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets)
    }

    /// What may be shown of a text that belongs to the key at a path.
    pub(super) fn hide(&self, path: &str, text: &str) -> String {
        let is_plain = text.is_empty() || text.parse::<f64>().is_ok() || text == "[secret]";
        if is_secret(path.rsplit('.').next().unwrap_or(path)) && !is_plain {
            return SECRET.to_owned();
        }
        let hidden = self.0.iter().fold(text.to_owned(), |text, it| text.replace(it, SECRET));
        match password(&hidden) {
            Some(password) if password != SECRET && !password.is_empty() => {
                hidden.replace(&format!(":{password}@"), &format!(":{SECRET}@"))
            }
            _ => hidden,
        }
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name && ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The password in an address.
fn password(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split('/').next()?;
    let (login, _) = authority.rsplit_once('@')?;
    login.split_once(':').map(|(_, password)| password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_secret_is_hidden() {
        let variables = [("RABBITMQ_PASSWORD", "0123456789"), ("HOME", "/home/x")];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mask = Mask::of(&variables.map(owned).into());
        for (path, text, shown) in [
            ("rabbitmq.password", "\"guest\"", "[secret]"),
            ("password.concurrency", "4", "4"),
            ("policy.user-service.POST /oauth/token", "open", "open"),
            ("a.url", "amqp://u:short@h:1/v", "amqp://u:[secret]@h:1/v"),
            ("a.url", "http://h/x@y:z@", "http://h/x@y:z@"),
            ("a.note", "x0123456789x", "x[secret]x"),
            ("auth.jwt_secret", "[secret]", "[secret]"),
            ("a.home", "/home/x", "/home/x"),
        ] {
            assert_eq!(mask.hide(path, text), shown, "{path}");
        }
    }
}
