//! Links of the documents that lead nowhere: to a file that is not there, or to no heading of one.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context, Result};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::programs;

/// The dead links of all documents that git knows or would take: `docs/a.md:3: b.md#c`.
pub(super) fn dead(root: &Path) -> Result<Vec<String>> {
    let mut list = Command::new("git");
    list.args(["ls-files", "--cached", "--others", "--exclude-standard", "--", "*.md"]);
    let listed = programs::output(list.current_dir(root)).context("list the documents")?;
    let mut documents = BTreeMap::new();
    // A file that is removed and still in git's index has no links any more.
    for document in listed.lines().filter(|document| root.join(document).exists()) {
        let text = fs::read_to_string(root.join(document));
        documents.insert(document, text.with_context(|| format!("read {document}"))?);
    }
    Ok(documents.iter().flat_map(|(document, text)| dead_in(root, document, text)).collect())
}

/// The dead links of one document, whose path is from the root.
fn dead_in(root: &Path, document: &str, text: &str) -> Vec<String> {
    let folder = root.join(document);
    let folder = folder.parent().unwrap_or(root);
    let leads_nowhere = |link: &str| {
        let (path, heading) = link.split_once('#').unwrap_or((link, ""));
        let file = if path.is_empty() { root.join(document) } else { folder.join(path) };
        let is_document = file.extension().is_some_and(|ending| ending == "md");
        if heading.is_empty() || !is_document {
            return !file.exists();
        }
        let text = fs::read_to_string(file).unwrap_or_default();
        !headings(&text).iter().any(|known| known == heading)
    };
    let mut dead = Vec::new();
    for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event else {
            continue;
        };
        let is_relative = !dest_url.contains("://") && !dest_url.starts_with("mailto:");
        if is_relative && leads_nowhere(&dest_url) {
            let line = text[..range.start].matches('\n').count() + 1;
            dead.push(format!("{document}:{line}: {dest_url}"));
        }
    }
    dead
}

/// What the headings of a document are called in links, as GitHub makes it of their text.
fn headings(text: &str) -> Vec<String> {
    let mut headings = Vec::new();
    let mut current = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match (event, &mut current) {
            (Event::Start(Tag::Heading { .. }), _) => current = Some(String::new()),
            (Event::Text(text) | Event::Code(text), Some(heading)) => heading.push_str(&text),
            (Event::End(TagEnd::Heading(_)), _) => headings.extend(current.take()),
            _ => {}
        }
    }
    let name = |heading: String| {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
    };
    headings.into_iter().map(name).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_no_file_and_to_no_heading_is_reported_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("docs")).unwrap();
        fs::write(root.join("docs/b.md"), "# One `call`, two\n").unwrap();
        fs::write(root.join("c.rs"), "").unwrap();
        let text = "# Own\n\n[b](b.md) [b](b.md#one-call-two) [c](../c.rs#L3) [d](https://d.example/e)\n\
            [own](#own)\n\n![no](no.png)\n\n| [no](b.md#three) | [no](#nobody) |\n|---|---|\n";
        let expected = ["docs/a.md:6: no.png", "docs/a.md:8: b.md#three", "docs/a.md:8: #nobody"];
        fs::write(root.join("docs/a.md"), text).unwrap();
        assert_eq!(dead_in(root, "docs/a.md", text), expected);
    }
}
