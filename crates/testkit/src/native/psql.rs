//! Statements through PostgreSQL's own command-line client, for tools that link no driver.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use super::{NativeError, error::Doing, find, process::clean_environment};

/// Runs SQL on the database that `url` names and gives what it printed: rows without heads, columns
/// parted by `|`. Stops at the first error. Neither the password nor the statements are shown in a
/// list of processes.
pub fn run(url: &str, sql: &str) -> Result<String, NativeError> {
    let program = match find::on_path("psql") {
        Some(path) => path,
        None => find::postgres()?.join("psql"),
    };
    let (address, password) = split_password(url);
    let mut command = Command::new(&program);
    clean_environment(&mut command);
    let doing = || format!("run {}", program.display());
    let mut child = command
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--no-password"])
        .args(["--set", "ON_ERROR_STOP=1", "--dbname", &address, "--file", "-"])
        .env("PGPASSWORD", password)
        .env("PGCONNECT_TIMEOUT", "3")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .doing(doing)?;
    if let Some(mut input) = child.stdin.take() {
        // A client that could not connect has gone already: its own words say more than a broken
        // pipe.
        let _told_below = input.write_all(sql.as_bytes());
    }
    let output = child.wait_with_output().doing(doing)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(NativeError::Failed {
        program: "psql".to_owned(),
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// `url` with another database.
pub fn with_database(url: &str, database: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, None), |(a, q)| (a, Some(q)));
    let authority = address.find("://").map_or(0, |scheme| scheme + 3);
    let end = address[authority..].find('/').map_or(address.len(), |slash| authority + slash);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{database}{query}", &address[..end])
}

/// `url` with another user and password. Both must need no escaping, as hexadecimal passwords do.
pub fn with_user(url: &str, user: &str, password: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let host = match (rest.find('/').unwrap_or(rest.len()), rest.rfind('@')) {
        (slash, Some(at)) if at < slash => &rest[at + 1..],
        _ => rest,
    };
    format!("{scheme}://{user}:{password}@{host}")
}

/// The URL without its password, and the password.
fn split_password(url: &str) -> (String, String) {
    let Some((scheme, rest)) = url.split_once("://") else {
        return (url.to_owned(), String::new());
    };
    let Some((login, host)) = rest.split_once('@') else {
        return (url.to_owned(), String::new());
    };
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    (format!("{scheme}://{user}@{host}"), percent_decoded(password))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_leaves_the_url() {
        let (url, password) = split_password("postgres://me:p%40ss@127.0.0.1:5432/db");
        assert_eq!(url, "postgres://me@127.0.0.1:5432/db");
        assert_eq!(password, "p@ss");
    }

    #[test]
    fn parts_of_a_url_are_replaced() {
        let url = "postgres://me:secret@127.0.0.1:5432/postgres?sslmode=disable";
        let other = "postgres://me:secret@127.0.0.1:5432/orders?sslmode=disable";
        assert_eq!(with_database(url, "orders"), other);
        let bare = "postgres://127.0.0.1:5432";
        assert_eq!(with_database(bare, "orders"), "postgres://127.0.0.1:5432/orders");
        assert_eq!(with_user(bare, "you", "pw"), "postgres://you:pw@127.0.0.1:5432");
        assert_eq!(with_user("postgres://a:b@h:1/d", "you", "pw"), "postgres://you:pw@h:1/d");
    }
}
