//! The canonical layout of a file: what `tusk fmt` writes.
//!
//! ```text
//! text ──▶ marks (what stands where, by the parser) ──▶ items (marks with their comments) ──▶ text
//! ```
//!
//! Values are copied byte by byte; the layout around them changes: `key: value`, two blanks for each
//! level, one blank line at most, a comment with what it belongs to. Groups on one line stay on one
//! line, others get a line for each entry, without commas.
//!
//! What has to stay is checked over random files: the tree, the warnings, and every key, value,
//! bracket and comment in its order.

mod gap;
mod items;
mod print;

use std::sync::Arc;

use crate::fault::{Errors, Fault, Severity};
use crate::source::Source;
use crate::syntax;

/// The text in its canonical layout. Formatting it again changes nothing, and neither does it change
/// any value or comment.
///
/// A file with errors is not formatted: they are the error, under `name`.
///
/// ```
/// let text = "# why\n[server]\nport=3001 ; \n\n\n  tags : [ a,b ]   # two\n";
/// let formatted = tusk_config::format("server.tsk", text)?;
/// assert_eq!(formatted, "# why\n[server]\nport: 3001\n\ntags: [a, b] # two\n");
/// # Ok::<(), tusk_config::Errors>(())
/// ```
pub fn format(name: &str, text: &str) -> Result<String, Errors> {
    let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
    let (document, marks) = syntax::parse_with_layout(&source, 0);
    let errors = document.faults.into_iter().filter(|fault| fault.severity() == Severity::Error);
    let errors: Vec<Fault> = errors.collect();
    if !errors.is_empty() {
        return Err(Errors::new(errors));
    }
    Ok(print::file(&items::read(text, &marks)))
}

#[cfg(test)]
mod generate;
#[cfg(test)]
mod tests;
