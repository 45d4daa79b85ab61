//! TuskLang: sections, their entries, the items of lists.

use anyhow::Result;
use tusk_config::outline;

use super::{Part, whole_lines};

pub(super) fn parts(text: &str) -> Result<Vec<Part>> {
    let sections = outline("this file", text)?.into_iter();
    Ok(sections
        .map(|section| in_lines(text, section, |entry| in_lines(text, entry, item)))
        .collect())
}

fn in_lines(
    text: &str,
    part: tusk_config::Part,
    inner: impl Fn(tusk_config::Part) -> Part,
) -> Part {
    let span = whole_lines(text, &part.span);
    let parts = part.parts.into_iter().map(inner).collect();
    Part { name: part.name, span, is_inline: false, parts }
}

fn item(part: tusk_config::Part) -> Part {
    Part { name: part.name, span: part.span, is_inline: true, parts: Vec::new() }
}
