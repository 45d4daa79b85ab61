//! A sorted list, a line each.

use super::Part;

pub(super) fn parts(text: &str) -> Vec<Part> {
    let mut start = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        let span = start..start + line.len();
        start = span.end;
        Part { name: line.trim_end().to_owned(), span, is_inline: false, parts: Vec::new() }
    });
    lines.filter(|part| !part.name.is_empty()).collect()
}
