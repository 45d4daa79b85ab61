//! Places in Rust sources by their tokens, and text put there: what is too small to be a part of its
//! own, such as a field of a struct or a column of a statement.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::{
    files::{existing, formatted},
    plan::Plan,
};

/// What stands before a type's name where no value of it is written.
const HEADS: [&str; 3] = ["struct", "impl", "for"];

/// A file of Rust that is added to. Each addition reads the text anew.
pub(super) struct Source(pub(super) String);

impl Source {
    /// The names of the fields of a struct.
    pub(super) fn fields(&self, of: &str) -> Result<Vec<String>> {
        let body = self.group(Delimiter::Brace, &|before| names_struct(before, of))?;
        let body = body.with_context(|| format!("there is no `struct {of}`"))?;
        let tokens: Vec<TokenTree> = body.stream().into_iter().collect();
        let named = tokens.windows(2).filter_map(|pair| match pair {
            // Not the first half of a `::`.
            [TokenTree::Ident(name), TokenTree::Punct(sign)]
                if sign.as_char() == ':' && sign.spacing() == proc_macro2::Spacing::Alone =>
            {
                Some(name.to_string())
            }
            _ => None,
        });
        Ok(named.collect())
    }

    /// Adds a field, with what stands before it, to the end of a struct.
    pub(super) fn add_field(&mut self, of: &str, field: &str) -> Result<()> {
        let body = self.group(Delimiter::Brace, &|before| names_struct(before, of))?;
        let body = body.with_context(|| format!("there is no `struct {of}`"))?;
        self.append(&body, field);
        Ok(())
    }

    /// Adds `field` to every value that is written out, field by field, as `Self { … }` or by its name:
    /// those that name `known` and take nothing from another value. Tells to how many.
    pub(super) fn add_to_values(&mut self, of: &str, known: &str, field: &str) -> Result<usize> {
        let is_value = |before: &[TokenTree], body: &Group| {
            let [rest @ .., TokenTree::Ident(name)] = before else { return false };
            let is_head = rest.last().is_some_and(|head| match head {
                TokenTree::Ident(word) => HEADS.iter().any(|head| word == head),
                // Of the arrow before what a function gives.
                TokenTree::Punct(sign) => sign.as_char() == '>',
                _ => false,
            });
            (name == "Self" || name == of) && !is_head && is_written_out(body, known)
        };
        let mut found = Vec::new();
        collect(&self.tokens()?, &mut |before, group| {
            if group.delimiter() == Delimiter::Brace && is_value(before, group) {
                found.push(group.clone());
            }
        });
        // From the end, so that places before it stay.
        for body in found.iter().rev() {
            self.append(body, field);
        }
        Ok(found.len())
    }

    /// Adds a column to the list of the macro that reads all of a table.
    pub(super) fn add_selected(&mut self, name: &str, table: &str, column: &str) -> Result<()> {
        let body = self.group(Delimiter::Brace, &|before| {
            matches!(before, [.., TokenTree::Ident(word), TokenTree::Punct(_), TokenTree::Ident(found)]
                if word == "macro_rules" && found == name)
        })?;
        let body = body.with_context(|| format!("there is no `macro_rules! {name}`"))?;
        let text = &self.0[body.span().byte_range()];
        let from = format!("from {table} ");
        let at = text.find(&from).with_context(|| format!("`{name}` does not read {from}"))?;
        let list = body.span().byte_range().start + text[..at].trim_end().len();
        self.add_in_text(list, &format!(", {column}"), 20);
        Ok(())
    }

    /// Adds a column to the statement by which `fn save` writes a row of the table.
    pub(super) fn add_saved(&mut self, table: &str, column: &str, value: &str) -> Result<()> {
        let what = || format!("no `fn save` that updates {table} where id = $1");
        let body = self.body("save").with_context(what)?;
        let mut statement = None;
        let update = format!("update {table} ").replace(' ', "");
        collect(&body.stream(), &mut |before, group| {
            let is_query = matches!(before, [.., TokenTree::Ident(name), TokenTree::Punct(_)] if name == "query");
            let text: String = self.0[group.span().byte_range()].split_whitespace().collect();
            let begins = text.trim_start_matches(['(', '"']).starts_with(&update);
            if is_query && begins && statement.is_none() {
                statement = Some(group.clone());
            }
        });
        let statement = statement.with_context(what)?;
        let span = statement.span().byte_range();
        let text = &self.0[span.clone()];
        let numbers = text.split('$').skip(1).filter_map(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u32>().ok()
        });
        let number = numbers.max().with_context(what)? + 1;
        let at = text.find("where id = $1").with_context(what)?;
        let list = span.start + text[..at].trim_end().len();
        // The argument first: it stands behind the text.
        self.append(&statement, value);
        self.add_in_text(list, &format!(", {column} = ${number}"), 13);
        Ok(())
    }

    /// Adds a call to the end of what a function does.
    pub(super) fn add_step(&mut self, function: &str, call: &str) -> Result<()> {
        let body = self.body(function)?;
        let end = body.span_close().byte_range().start;
        let at = self.0[..end].trim_end().len();
        self.0.insert_str(at, call);
        Ok(())
    }

    /// The type of a struct's field, when it is a plain name.
    pub(super) fn type_of(&self, of: &str, field: &str) -> Result<Option<String>> {
        let body = self.group(Delimiter::Brace, &|before| names_struct(before, of))?;
        let body = body.with_context(|| format!("there is no `struct {of}`"))?;
        let tokens: Vec<TokenTree> = body.stream().into_iter().collect();
        Ok(tokens.windows(3).find_map(|three| match three {
            [TokenTree::Ident(name), TokenTree::Punct(_), TokenTree::Ident(kind)]
                if name == field =>
            {
                Some(kind.to_string())
            }
            _ => None,
        }))
    }

    /// Whether serde makes the struct of another one.
    pub(super) fn is_made_of_another(&self, name: &str) -> bool {
        attributes(&self.0, name).contains("try_from")
    }

    /// Whether the type has a method of this name.
    pub(super) fn has_method(&self, of: &str, name: &str) -> Result<bool> {
        Ok(self.method(of, name)?.is_some())
    }

    /// Has a `check`, which gives all misfits, give more of them: an `Option` or a `Vec`.
    pub(super) fn extend_check(&mut self, of: &str, more: &str) -> Result<()> {
        let body = self.method(of, "check")?;
        let body = body.with_context(|| format!("`{of}` has no `check`"))?;
        let tokens: Vec<TokenTree> = body.stream().into_iter().collect();
        let is_end =
            |token: &TokenTree| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ';');
        let last = tokens.iter().rposition(is_end).map_or(0, |end| end + 1);
        let (Some(first), Some(end)) = (tokens.get(last), tokens.last()) else {
            anyhow::bail!("`check` of `{of}` gives nothing");
        };
        let span = first.span().byte_range().start..end.span().byte_range().end;
        let given = self.0[span.clone()].to_owned();
        let new = if given == "misfits" {
            format!("misfits.extend({more});\nmisfits")
        } else {
            format!("let mut misfits: Vec<Misfit> = {given};\nmisfits.extend({more});\nmisfits")
        };
        self.0.replace_range(span, &new);
        Ok(())
    }

    /// What a method of a type does.
    fn method(&self, of: &str, name: &str) -> Result<Option<Group>> {
        let mut found = None;
        collect(&self.tokens()?, &mut |before, group| {
            let is_impl = matches!(before, [.., TokenTree::Ident(word), TokenTree::Ident(kind)]
                if word == "impl" && kind == of);
            if !is_impl || group.delimiter() != Delimiter::Brace {
                return;
            }
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            for (place, token) in inner.iter().enumerate() {
                let TokenTree::Group(body) = token else { continue };
                let is_fn =
                    |token: &TokenTree| matches!(token, TokenTree::Ident(word) if word == "fn");
                let begin = inner[..place].iter().rposition(is_fn);
                let is_it = begin
                    .and_then(|at| inner.get(at + 1))
                    .is_some_and(|token| matches!(token, TokenTree::Ident(word) if word == name));
                if is_it && body.delimiter() == Delimiter::Brace && found.is_none() {
                    found = Some(body.clone());
                }
            }
        });
        Ok(found)
    }

    /// What a function does; the first one of this name.
    fn body(&self, function: &str) -> Result<Group> {
        let body = self.group(Delimiter::Brace, &|before| {
            let is_fn = |token: &TokenTree| matches!(token, TokenTree::Ident(word) if word == "fn");
            before.iter().rposition(is_fn).is_some_and(
                |at| matches!(&before[at + 1..], [TokenTree::Ident(name), ..] if name == function),
            )
        })?;
        body.with_context(|| format!("there is no `fn {function}`"))
    }

    /// Adds words to a list within a text, on a line of their own where the line would be too long.
    fn add_in_text(&mut self, at: usize, words: &str, indent: usize) {
        let line = self.0[..at].rfind('\n').map_or(0, |end| end + 1);
        let next = self.0[at..].trim_start();
        // What stands behind the list gets a line of its own, as long lines are not broken in a text.
        let is_full = at - line + words.len() > 96;
        let words = if is_full {
            let words = words.trim_start_matches(", ");
            format!(",\n{:indent$}{words}", "")
        } else {
            words.to_owned()
        };
        let begins_line = self.0[at..self.0.len() - next.len()].contains('\n');
        let gap = if begins_line {
            self.0[at..self.0.len() - next.len()].to_owned()
        } else {
            format!("\n{:width$}", "", width = indent - 4)
        };
        let end = self.0.len() - next.len();
        self.0.replace_range(at..end, &format!("{words}{gap}"));
    }

    /// Adds to the end of what stands in braces or parentheses, behind a comma.
    fn append(&mut self, group: &Group, what: &str) {
        let end = group.span_close().byte_range().start;
        let inner = self.0[..end].trim_end();
        let comma = if inner.ends_with([',', '{', '(']) { "" } else { "," };
        let at = inner.len();
        self.0.replace_range(at..end, &format!("{comma}\n{what},\n"));
    }

    fn group(
        &self,
        delimiter: Delimiter,
        is_it: &dyn Fn(&[TokenTree]) -> bool,
    ) -> Result<Option<Group>> {
        let mut found = None;
        collect(&self.tokens()?, &mut |before, group| {
            if found.is_none() && group.delimiter() == delimiter && is_it(before) {
                found = Some(group.clone());
            }
        });
        Ok(found)
    }

    fn tokens(&self) -> Result<TokenStream> {
        self.0.parse().ok().context("it is no Rust that can be read")
    }
}

/// Every group, with the tokens that stand before it, outer ones first.
fn collect(tokens: &TokenStream, tell: &mut dyn FnMut(&[TokenTree], &Group)) {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    for (place, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            tell(&tokens[..place], group);
            collect(&group.stream(), tell);
        }
    }
}

/// The attributes right above a struct.
pub(super) fn attributes<'a>(text: &'a str, of: &str) -> &'a str {
    let head = text.find(&format!("struct {of} {{")).map_or("", |at| &text[..at]);
    head.rsplit("\n\n").next().unwrap_or_default()
}

fn names_struct(before: &[TokenTree], of: &str) -> bool {
    matches!(before, [.., TokenTree::Ident(word), TokenTree::Ident(name)] if word == "struct" && name == of)
}

/// Whether the body names a field and takes no rest from another value.
fn is_written_out(body: &Group, known: &str) -> bool {
    let tokens: Vec<TokenTree> = body.stream().into_iter().collect();
    let is_sign = |token: &TokenTree, sign: char| matches!(token, TokenTree::Punct(found) if found.as_char() == sign);
    let is_rest = tokens.windows(2).any(|pair| pair.iter().all(|token| is_sign(token, '.')));
    let names = tokens.iter().enumerate().any(|(place, token)| {
        matches!(token, TokenTree::Ident(name) if name == known)
            && (place == 0 || is_sign(&tokens[place - 1], ','))
    });
    names && !is_rest
}

/// Fails for a name that cannot be a field of Rust and a column of SQL.
pub(super) fn check_column(name: &str) -> Result<()> {
    let kebab = name.replace('_', "-");
    super::names::check_form("a column", &kebab)?;
    ensure!(!name.contains('-'), "a column is written `{}`", name.replace('-', "_"));
    ensure!(
        !super::names::is_reserved(name),
        "`{name}` cannot name a field in Rust: choose another"
    );
    ensure!(
        !super::names::is_reserved_in_sql(name),
        "`{name}` cannot name a column in SQL: choose another"
    );
    Ok(())
}

/// Changes a file of the plan, and formats it.
pub(super) fn edit(
    root: &Path,
    plan: &mut Plan,
    path: &str,
    change: impl FnOnce(&mut Source) -> Result<()>,
) -> Result<()> {
    let mut source = Source(existing(root, plan, path)?);
    change(&mut source).with_context(|| path.to_owned())?;
    let text = formatted(root, &source.0).with_context(|| format!("format {path}"))?;
    plan.set(root, path, Some(text))
}

/// With an import, unless it is there: beside those of the same crate, else of other crates. `cargo fmt`
/// sorts it in.
pub(super) fn import(text: &str, line: &str) -> String {
    if text.lines().any(|other| other == line) {
        return text.to_owned();
    }
    let krate = line.trim_start_matches("use ").split("::").next().unwrap_or_default();
    let begins = |other: &str, of: &str| {
        let name = other.strip_prefix("use ").and_then(|path| path.split("::").next());
        name == Some(of)
    };
    let is_foreign = |other: &str| {
        other.starts_with("use ") && !["std", "crate", "super"].iter().any(|own| begins(other, own))
    };
    let lines = || text.split_inclusive('\n');
    let place = lines()
        .position(|other| begins(other, krate))
        .or_else(|| lines().position(|other| krate != "std" && is_foreign(other)))
        .or_else(|| lines().position(|other| other.starts_with("use ")));
    let Some(place) = place else { return text.to_owned() };
    let (before, after): (Vec<_>, Vec<_>) =
        lines().enumerate().partition(|(number, _)| *number < place);
    let joined =
        |lines: Vec<(usize, &str)>| lines.into_iter().map(|(_, line)| line).collect::<String>();
    // Imports of the standard library are a group of their own.
    let is_alone = krate == "std" && !lines().any(|other| begins(other, "std"));
    let gap = if is_alone { "\n" } else { "" };
    format!("{}{line}\n{gap}{}", joined(before), joined(after))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
