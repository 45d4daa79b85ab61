//! A statement in a few words: `insert payments`, `delete sessions select sessions`.
//!
//! What the conventions call a query summary: operations and their tables in the order of the text,
//! no values, so that it names a class of statements.
//! <https://opentelemetry.io/docs/specs/semconv/db/database-spans/#generating-a-summary-of-the-query>

/// The conventions' bound, in bytes.
const BYTES_MAX: usize = 255;

/// The operations and tables of a statement. What has neither is told by its first word.
pub(crate) fn summary(sql: &str) -> String {
    let tokens: Vec<&str> = tokens(sql).collect();
    let mut words: Vec<&str> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", |at| tokens[at]);
        let next = tokens.get(at + 1).copied();
        let after = tokens.get(at + 2).copied();
        match token.to_ascii_lowercase().as_str() {
            "select" | "insert" | "delete" | "merge" => words.push(token),
            // Not the lock of `for update`, nor the second half of an `insert`.
            "update" if !is_one_of(before, &["for", "key", "do"]) => {
                words.push(token);
                words.extend(next.filter(|next| is_name(next)));
            }
            "into" => words.extend(next.filter(|next| is_name(next))),
            "from" | "join" if !is_one_of(before, &["distinct"]) => {
                let is_function = after == Some("(");
                words.extend(next.filter(|next| is_name(next) && !is_function));
            }
            _ => {}
        }
    }
    if words.is_empty() {
        words.extend(tokens.first());
    }
    let mut summary = String::new();
    for word in words {
        if summary.len() + 1 + word.len() > BYTES_MAX {
            break;
        }
        if !summary.is_empty() {
            summary.push(' ');
        }
        summary.push_str(word);
    }
    summary
}

fn is_one_of(token: &str, words: &[&str]) -> bool {
    words.iter().any(|word| token.eq_ignore_ascii_case(word))
}

/// Whether a token can name a table: a word, and none of those that stand before a table.
fn is_name(token: &str) -> bool {
    let is_word = token.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    is_word && !is_one_of(token, &["lateral", "only", "select", "set"])
}

/// Words (with their dots), placeholders and single signs; no string literals, no space.
fn tokens(sql: &str) -> impl Iterator<Item = &str> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start();
            let first = rest.chars().next()?;
            if first == '\'' {
                let literal = &rest[1..];
                rest = literal.find('\'').map_or("", |end| &literal[end + 1..]);
                continue;
            }
            let is_of_word = |part: char| part.is_alphanumeric() || "_.$".contains(part);
            let end = match rest.find(|part| !is_of_word(part)) {
                Some(0) => first.len_utf8(),
                Some(end) => end,
                None => rest.len(),
            };
            let (token, left) = rest.split_at(end);
            rest = left;
            return Some(token);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn operations_and_tables_stand_in_the_order_of_the_text() {
        for (sql, words) in [
            ("select id from users where id = $1 for update", "select users"),
            ("insert into t (a) values ($1) on conflict (a) do update set a = 1", "insert t"),
            ("update users set name = $1 where id = $2", "update users"),
            ("delete from a where id in (select id from b)", "delete a select b"),
            ("UPDATE a SET x = 1 FROM b WHERE a.id = b.id", "UPDATE a b"),
            ("select 1 from a join lateral (select 1 from b) on true", "select a select b"),
            ("select extract(epoch from now() - min(at)) from public.a", "select public.a"),
            ("select a is distinct from b from c", "select c"),
            ("select 'drop from cards' as x from a", "select a"),
            ("select pg_advisory_xact_lock($1)", "select"),
            ("listen changes", "listen"),
            ("", ""),
        ] {
            assert_eq!(summary(sql), words, "{sql}");
        }
    }

    #[test]
    fn a_long_statement_has_a_short_summary() {
        let sql = "select a from a_table_with_a_name ".repeat(100);
        let summary = summary(&sql);
        let is_whole = |word| ["select", "a_table_with_a_name"].contains(&word);
        assert!(summary.len() <= 255 && summary.split(' ').all(is_whole), "{summary}");
    }

    #[test]
    fn every_statement_of_the_workspace_has_one_without_values() {
        let workspace = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let services = std::fs::read_dir(workspace.join("services")).unwrap();
        let services = services.map(|service| service.unwrap().path());
        let mut seen = 0;
        for package in services.chain([workspace.join("crates/messaging")]) {
            for file in std::fs::read_dir(package.join(".sqlx")).unwrap() {
                let file = std::fs::read(file.unwrap().path()).unwrap();
                let query: serde_json::Value = serde_json::from_slice(&file).unwrap();
                let summary = summary(query["query"].as_str().unwrap());
                let is_fine = |sign: char| sign.is_ascii_lowercase() || "_ ".contains(sign);
                assert!(!summary.is_empty() && summary.chars().all(is_fine), "{summary}");
                seen += 1;
            }
        }
        assert!(seen > 40, "{seen}");
    }
}
