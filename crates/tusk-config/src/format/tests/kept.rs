//! What formatting has to keep.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::Severity;
use crate::format::format;
use crate::notation::table;
use crate::source::Source;
use crate::syntax;
use crate::syntax::mark::{Mark, What};

/// What a file says, and how, but for its layout.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) root: String,
    pub(crate) globals: String,
    pub(crate) warnings: Vec<String>,
    /// Keys, values, brackets and comments as they stand, in the order of the file.
    pub(crate) pieces: Vec<String>,
}

/// Reads a file; or its faults, when it has errors.
pub(crate) fn said(text: &str) -> Result<Said, String> {
    let source = Arc::new(Source { name: "a.tsk".to_owned(), text: text.to_owned() });
    let (document, marks) = syntax::parse_with_layout(&source, 0);
    if document.faults.iter().any(|fault| fault.severity() == Severity::Error) {
        return Err(format!("{:?}", document.faults));
    }
    Ok(Said {
        root: table(&document.root),
        globals: table(&document.globals),
        warnings: document.faults.iter().map(|fault| fault.text().to_owned()).collect(),
        pieces: pieces(text, &marks),
    })
}

fn pieces(text: &str, marks: &[Mark]) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut end = 0;
    for mark in marks {
        comments(&text[end..mark.start], &mut pieces);
        let piece = &text[mark.start..mark.end];
        pieces.push(match mark.what {
            What::Section => piece.replace(char::is_whitespace, ""),
            _ => piece.to_owned(),
        });
        end = mark.end;
    }
    comments(&text[end..], &mut pieces);
    // What opens or ends a group by indentation has no text, and may stand anywhere around comments.
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Between two marks are comments, blanks and separators, and nothing else.
fn comments(gap: &str, pieces: &mut Vec<String>) {
    let mut rest = gap;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n', ':', '=', ',', ';', '\u{feff}']);
        let length = match rest.get(..2) {
            None if !rest.starts_with('#') => return assert_eq!(rest, "", "{gap:?}"),
            Some("/*") => 2 + rest[2..].find("*/").unwrap() + 2,
            other => {
                assert!(rest.starts_with('#') || other == Some("//"), "{gap:?}");
                rest.find('\n').unwrap_or(rest.len())
            }
        };
        let lines: Vec<&str> = rest[..length].lines().map(str::trim_end).collect();
        pieces.push(lines.join("\n"));
        rest = &rest[length..];
    }
}

/// Formats a file and sees to it that it says the same and that once is enough. `None` for a file
/// with errors.
pub(crate) fn formatted(text: &str) -> Option<String> {
    let before = said(text).ok()?;
    let once = format("a.tsk", text).unwrap();
    let after = said(&once);
    assert!(after.as_ref() == Ok(&before), "{text:?}\nbecame\n{once}\n{before:#?}\n{after:#?}");
    assert_eq!(format("a.tsk", &once).unwrap(), once, "{text:?}");
    Some(once)
}

/// The files of a system of three services, and those of this workspace.
pub(crate) fn files() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.join("tests/fixtures/microservices"), root.join("../../config")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = files.map(|file| file.unwrap().path()).filter(|path| path.is_file());
    paths.map(|path| fs::read_to_string(path).unwrap()).collect()
}
