//! Columns in the statements of a store.

use anyhow::{Context, Result};
use syn::{Item, Macro, spanned::Spanned, visit::Visit};

use super::Source;

impl Source {
    /// Adds a column to the list of the macro that reads all of a table.
    pub(in crate::template) fn add_selected(
        &mut self,
        name: &str,
        table: &str,
        column: &str,
    ) -> Result<()> {
        let found = self.items()?.into_iter().find_map(|item| match item {
            Item::Macro(found) if found.ident.as_ref().is_some_and(|ident| ident == name) => {
                Some(found.mac)
            }
            _ => None,
        });
        let body = found.with_context(|| format!("there is no `macro_rules! {name}`"))?;
        let span = body.delimiter.span().join().byte_range();
        let from = format!("from {table} ");
        let text = &self.0[span.clone()];
        let at = text.find(&from).with_context(|| format!("`{name}` does not read {from}"))?;
        let list = span.start + text[..at].trim_end().len();
        self.add_in_text(list, &format!(", {column}"), 20);
        Ok(())
    }

    /// Adds a column to the statement by which `fn save` writes a row of the table.
    pub(in crate::template) fn add_saved(
        &mut self,
        table: &str,
        column: &str,
        value: &str,
    ) -> Result<()> {
        struct Queries(Vec<Macro>);
        impl<'ast> Visit<'ast> for Queries {
            fn visit_macro(&mut self, found: &'ast Macro) {
                if found.path.segments.last().is_some_and(|last| last.ident == "query") {
                    self.0.push(found.clone());
                }
            }
        }
        let what = || format!("no `fn save` that updates {table} where id = $1");
        let mut queries = Queries(Vec::new());
        queries.visit_block(&self.body("save").with_context(what)?);
        let update = format!("\"update {table} ");
        let statement = queries.0.into_iter().find(|query| {
            let words = query.tokens.to_string();
            words.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(&update)
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
        self.append(statement.delimiter.span().close(), value);
        self.add_in_text(list, &format!(", {column} = ${number}"), 13);
        Ok(())
    }

    /// Adds words to a list within a text, on a line of their own where the line would be too long.
    fn add_in_text(&mut self, at: usize, words: &str, indent: usize) {
        let line = self.0[..at].rfind('\n').map_or(0, |end| end + 1);
        let end = self.0.len() - self.0[at..].trim_start().len();
        let gap = &self.0[at..end];
        // What stands behind the list gets a line of its own, as long lines are not broken in a text.
        let gap = if gap.contains('\n') {
            gap.to_owned()
        } else {
            format!("\n{:width$}", "", width = indent - 4)
        };
        let words = if at - line + words.len() > 96 {
            format!(",\n{:indent$}{}", "", words.trim_start_matches(", "))
        } else {
            words.to_owned()
        };
        self.0.replace_range(at..end, &format!("{words}{gap}"));
    }
}
