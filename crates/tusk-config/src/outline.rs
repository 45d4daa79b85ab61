//! Where a file's sections, entries and items stand: for tools that change a file and keep all that
//! they do not change.

use std::ops::Range;
use std::sync::Arc;

use crate::fault::{Errors, Fault, Severity};
use crate::source::Source;
use crate::syntax;
use crate::syntax::mark::{Mark, What};

/// A section, an entry, or an item of a list, with what is directly in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The name of the section, the key of the entry, the text of the item, all without quotes.
    pub name: String,
    /// Where it stands, in bytes: a section from its header to the end of its last entry, an entry
    /// from its key to the end of its value.
    pub span: Range<usize>,
    /// Entries of a section; items, when the value is a list.
    pub parts: Vec<Part>,
}

/// The sections of a file. Entries above the first section are in one without a name, which is there
/// only when they are. What stands in nested groups is not told apart.
///
/// ```
/// let text = "[policy.orders] # why\n\"GET /a\": [user, admin]\n";
/// let sections = tusk_config::outline("auth.tsk", text)?;
/// let entry = &sections[0].parts[0];
/// assert_eq!((sections[0].name.as_str(), entry.name.as_str()), ("policy.orders", "GET /a"));
/// assert_eq!(&text[entry.parts[1].span.clone()], "admin");
/// # Ok::<(), tusk_config::Errors>(())
/// ```
///
/// # Errors
/// A file with errors has no outline: they are the error, under `name`.
pub fn outline(name: &str, text: &str) -> Result<Vec<Part>, Errors> {
    let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
    let (document, marks) = syntax::parse_with_layout(&source, 0);
    let errors = document.faults.into_iter().filter(|fault| fault.severity() == Severity::Error);
    let errors: Vec<Fault> = errors.collect();
    if !errors.is_empty() {
        return Err(Errors::new(errors));
    }
    Ok(sections(text, &marks))
}

fn sections(text: &str, marks: &[Mark]) -> Vec<Part> {
    let mut sections: Vec<Part> = Vec::new();
    let mut depth = 0_usize;
    for mark in marks {
        let part = |name: &str| Part {
            name: unquoted(name),
            span: mark.start..mark.end,
            parts: Vec::new(),
        };
        let stands_there = text.get(mark.start..mark.end).unwrap_or_default();
        match mark.what {
            What::Section => sections.push(part(stands_there.trim_matches(['[', ']']))),
            What::Key if depth == 0 => {
                if sections.is_empty() {
                    sections.push(Part { name: String::new(), ..part("") });
                }
                if let Some(section) = sections.last_mut() {
                    section.parts.push(part(stands_there));
                }
            }
            What::Value if depth == 1 => {
                let entry = sections.last_mut().and_then(|section| section.parts.last_mut());
                if let Some(entry) = entry {
                    entry.parts.push(part(stands_there));
                }
            }
            What::Open(_) => depth += 1,
            What::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        if let Some(section) = sections.last_mut() {
            section.span.end = section.span.end.max(mark.end);
            if let Some(entry) = section.parts.last_mut() {
                entry.span.end = entry.span.end.max(mark.end);
            }
        }
    }
    sections
}

fn unquoted(name: &str) -> String {
    let name = name.trim();
    let inner = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    inner.unwrap_or(name).to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_where_they_stand() {
        let text = "a: 1\n\n# why\n[x.y]\n\"k\": [u, \"v w\"] # list\nb {\n  c: 1\n}\n\n[z]\n";
        let sections = outline("t.tsk", text).unwrap();
        let shape: Vec<(&str, Vec<&str>)> = sections
            .iter()
            .map(|section| {
                let keys = section.parts.iter().map(|entry| entry.name.as_str());
                (section.name.as_str(), keys.collect())
            })
            .collect();
        assert_eq!(shape, [("", vec!["a"]), ("x.y", vec!["k", "b"]), ("z", vec![])]);

        let [k, b] = sections[1].parts.as_slice() else { panic!("two entries") };
        assert_eq!(&text[k.span.clone()], "\"k\": [u, \"v w\"]");
        assert_eq!(&text[b.span.clone()], "b {\n  c: 1\n}");
        let items: Vec<&str> = k.parts.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(items, ["u", "v w"]);
        assert_eq!(&text[sections[1].span.clone()], &text[text.find("[x").unwrap()..b.span.end]);
    }

    #[test]
    fn a_file_with_errors_has_none() {
        assert!(outline("t.tsk", "[x]\na\n").is_err());
    }
}
